"""The engine: a loaded Kosmos model that answers streams of requests."""

from __future__ import annotations

from .model import KosmosModel

__all__ = ["KosmosModel"]
