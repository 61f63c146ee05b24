"""Text of models, datasets and file names, made safe to look at wherever it is shown."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff]"
)
_BREAKS = re.compile(r"[\t\n]")
_MARKS = frozenset("\\`*_{}[]<>()#+!|&~$")
"""What Markdown, or HTML in it, may take for a mark."""
_CONTROL_PICTURES = 0x2400
_SPACE = 0x20


def visible(value: object) -> object:
    """Return text with what could not be seen, or could turn the text around it, replaced by something that shows.

    Control characters become their pictures (`␀`); directional overrides and code points that are no characters
    become their numbers (`⟨U+202E⟩`). Line ends and tabs stay. What is not text, and a page's own marked-up text,
    is returned as it is: the `finalize` of a Jinja environment.
    """
    return _UNSEEN.sub(_shown, value) if type(value) is str else value


def visible_line(text: str) -> str:
    """Return text as `visible` does, on one line: each run of white space is one space."""
    return _UNSEEN.sub(_shown, " ".join(str(text).split()))


def unbroken(text: str) -> str:
    """Return text as `visible` does, on one line: line ends and tabs show as their pictures (`␊`, `␉`)."""
    return _UNSEEN.sub(_shown, _BREAKS.sub(_shown, str(text)))


def literal(text: str) -> str:
    """Return text on one line as Markdown shows it letter by letter, whatever marks are in it."""
    return "".join(f"&#{ord(each)};" if each in _MARKS else each for each in visible_line(text))


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_CONTROL_PICTURES + code) if code < _SPACE else f"⟨U+{code:04X}⟩"
