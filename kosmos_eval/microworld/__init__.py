"""A procedural world of coloured things with known truth."""
