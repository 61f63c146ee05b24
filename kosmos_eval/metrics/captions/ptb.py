r"""A PTB tokenizer in Python, for where Java is not: the tokens of Stanford's PTBTokenizer 3.4.1, in lower case.

At each place the rule that reads furthest wins, and of those that read equally far the first; what a rule wants to see
behind its token counts as read. The rules (`ptb_rules.py`) were found by asking the official tokenizer, and are held to
its answers on many thousand sentences. One thing is left out: tokens that caption metrics drop afterwards (quotes, full
stops, single and double dashes) may be other ones of that kind, or be missing.

Where the official tokenizer is odd, so is this: a URL's host must be in small letters, `1 1/2` is one token that holds
a no-break space, an initial loses its full stop before certain words ("x. The"), and so on.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from . import ptb_characters
from .ptb_rules import as_it_is, characters, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_KEPT = 65_536  # characters, of which there are no more that tokens can begin with
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_PLAIN = re.compile(r"[A-Za-z]{2,}(?=,?[ \n])")  # most of what captions hold: a word, a comma perhaps, and a space
_SPLIT = frozenset({"cannot", "gonna", "wanna", "gotta", "lemme", "gimme"})


class _Compiled(NamedTuple):
    """A rule, ready to be matched; `group` is that of the token."""

    pattern: re.Pattern[str]
    group: int
    write: Callable[[str], str]


def ptb_tokens(caption: str) -> list[str]:
    """Return a caption's tokens, lower-case, punctuation included.

    Args:
        caption: without a line break.

    Example:
        >>> ptb_tokens("A man's dog can't swim.")
        ['a', 'man', "'s", 'dog', 'ca', "n't", 'swim', '.']
    """
    return ptb_lines([caption])[0]


def ptb_lines(captions: Sequence[str]) -> list[list[str]]:
    """Return the tokens of each caption, all of them lines of one text: the end of one may depend on the next.

    Args:
        captions: without line breaks.
    """
    text, lines, start = "\n".join(captions), [], 0
    for caption in captions:
        lines.append([token.lower() for token in _written(text, start, start + len(caption))])
        start += len(caption) + 1
    return lines


def _written(text: str, place: int, end: int) -> Iterator[str]:
    while place < end:
        plain = _PLAIN.match(text, place)
        if plain and plain[0].lower() not in _SPLIT:
            yield plain[0]
            place = plain.end()
            continue
        place, token = _read(text, place)
        if token:
            yield token


def _read(text: str, place: int) -> tuple[int, str]:
    """Return where the token at a place ends, and the token; empty for what is dropped."""
    first = text[place]
    furthest, end, token = place, place + 1, ""
    write: Callable[[str], str] = as_it_is
    for rule in _rules_for(first):
        found = rule.pattern.match(text, place)
        if found and found.end() > furthest:
            furthest, end, token, write = found.end(), found.end(rule.group), found[rule.group], rule.write
    if token:
        return end, write(token)
    return end, _BRACKETS.get(first) or (first if _signs().match(first) else "")


@lru_cache(_KEPT)
def _rules_for(first: str) -> tuple[_Compiled, ...]:
    """Return the rules that a token with this first character may follow, in order."""
    kind = "a" if first.isascii() and first.isalpha() else "0" if first in "0123456789" else first
    return tuple(rule for starts, rule in _compiled() if starts is None or kind in starts)


@cache
def _compiled() -> list[tuple[str | None, _Compiled]]:
    patterns = [(rule.starts, re.compile(rule.pattern), rule.write) for rule in rules()]
    return [(starts, _Compiled(pattern, min(pattern.groups, 1), write)) for starts, pattern, write in patterns]


@cache
def _signs() -> re.Pattern[str]:
    """Return what matches a character that is a token of its own, if nothing else."""
    return re.compile(rf"[!-/:-@\[-`{{-~{characters(ptb_characters.SIGNS)}]")
