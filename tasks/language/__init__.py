"""The language benchmarks of KOSMOS-1, through lm-eval's task code."""

from .benchmarks import PIQA, HellaSwag, StoryCloze, Winograd273, Winograd285, Winogrande
from .superglue import CB, COPA, BoolQ

__all__ = ["CB", "COPA", "PIQA", "BoolQ", "HellaSwag", "StoryCloze", "Winograd273", "Winograd285", "Winogrande"]
