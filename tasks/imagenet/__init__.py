"""ImageNet: which of 1,000 classes a photograph shows, asked for by name."""

from .benchmark import ImageNet
from .sample import ImageNetSample

__all__ = ["ImageNet", "ImageNetSample"]
