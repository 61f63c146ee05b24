"""Trains small Kosmos models on the microworld: `python -m kosmos_eval.model.training CONFIG.toml`."""
