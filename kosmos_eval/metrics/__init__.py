"""Metrics, each with its official source."""
