"""WebSRC: questions about web pages."""

from .benchmark import WebSRC
from .sources import WebSRCSample, page_text

__all__ = ["WebSRC", "WebSRCSample", "page_text"]
