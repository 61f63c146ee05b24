"""Uncertainty of the numbers."""
