"""Raven's Progressive Matrices: which candidate comes next."""

from .benchmark import Raven
from .sample import RavenSample

__all__ = ["Raven", "RavenSample"]
