"""VQA v2.0: open-ended questions about photographs, answered by ten people each."""

from .benchmark import VQAv2
from .sample import VQASample

__all__ = ["VQASample", "VQAv2"]
