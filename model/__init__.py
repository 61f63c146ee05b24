"""The built-in Kosmos model."""
