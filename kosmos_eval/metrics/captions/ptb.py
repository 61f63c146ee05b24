"""Stub."""

from __future__ import annotations


def ptb_tokens(caption: str) -> list[str]:
    """Return tokens."""
    return caption.lower().split()
