"""What the papers printed, as data, and a model's own numbers beside it."""
