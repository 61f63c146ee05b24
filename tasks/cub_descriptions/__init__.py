"""Bird pairs: two species that are alike, told apart with or without descriptions."""

from .benchmark import CubDescriptions
from .sources import CubSample

__all__ = ["CubDescriptions", "CubSample"]
