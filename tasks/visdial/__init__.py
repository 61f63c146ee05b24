"""VisDial v1.0: dialogues about pictures, with a hundred candidate answers at each round."""

from .benchmark import VisDial
from .sample import Turn, VisDialSample

__all__ = ["Turn", "VisDial", "VisDialSample"]
