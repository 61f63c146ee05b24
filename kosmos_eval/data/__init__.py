"""Where samples come from: the embedded microworld, the Hugging Face hub, or a folder of official files."""
