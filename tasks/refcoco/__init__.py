"""RefCOCO, RefCOCO+ and RefCOCOg: things found by what people call them, and called by where they are."""

from .benchmark import RefCOCO, RefCOCOg, RefCOCOPlus, ReferringSample
from .generation import DescribedSample, RefCOCOgGeneration

__all__ = ["DescribedSample", "RefCOCO", "RefCOCOPlus", "RefCOCOg", "RefCOCOgGeneration", "ReferringSample"]
