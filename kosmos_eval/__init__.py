"""kosmos-eval: an evaluation harness for KOSMOS-style multimodal language models."""
