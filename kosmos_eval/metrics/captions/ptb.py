r"""A PTB tokenizer in Python, for where Java is not: the tokens of Stanford's PTBTokenizer 3.4.1, in lower case.

At each place the rule that reads furthest wins, and of those that read equally far the first; what a rule wants to see
behind its token counts as read. The rules were found by asking the official tokenizer, and are held to it on many
thousand sentences. One thing is left out: tokens that captions drop afterwards (quotes, full stops, single and double
dashes) may be other ones of the same kind, as an opening for a closing quote.

Where the official tokenizer is odd, so is this: a URL's host must be in small letters, `1 1/2` is one token that holds a
no-break space, an initial's full stop leaves it before certain words ("x. The"), and so on.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from . import ptb_characters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEPT = 65_536  # words, of which most come again and again

# Abbreviations, whatever their case, that keep their full stop: those of the first list with anything glued to it.
_FIRM = """
    pte pty
    al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext
    feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla
    penn plc ppte ppty ptes ptys rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis
    wisc wyo
"""
_LOOSE = """
    mfg mtg adj adm adv alex assoc asst atty ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen gov
    govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof profs pvt rep
    reps rev sen sens sfc sgt spc st ste supt treas vs wm
"""
_BEFORE_NUMBERS = "art ca fig figs no nos op pp prop"
_CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"

# An initial gives up its full stop before these, which begin sentences.
_OPENERS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Now Once One
    Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You
"""

_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": ""}
_FRACTIONS = {"\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
_MONEY = {"\xa2": "cents", "\xa3": "#", "\xa4": "$", "\x80": "$", "\u20a0": "$", "\u20ac": "$"}
_QUOTES = str.maketrans(
    {"\u2018": "`", "\u201b": "`", "\u2039": "`", "\x91": "`", "\u2019": "'", "\u203a": "'", "\x92": "'"}
    | {"\u201c": "``", "\xab": "``", "\x93": "``", "\u201d": "''", "\xbb": "''", "\x94": "''"}
)
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}


class _Rule(NamedTuple):
    """What a token looks like. Its group, or the whole where there is none, is the token; what follows was looked at."""

    pattern: re.Pattern[str]
    write: Callable[[str], str]


def ptb_tokens(caption: str) -> list[str]:
    """Return a caption's tokens, lower-case, punctuation included.

    Args:
        caption: without a line break.

    Example:
        >>> ptb_tokens("A man's dog can't swim.")
        ['a', 'man', "'s", 'dog', 'ca', "n't", 'swim', '.']
    """
    return [token.lower() for token in _written(caption + "\n")]


def _written(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        plain = _PLAIN.match(text, place)
        if plain and plain[0].lower() not in _SPLIT:
            yield plain[0]
            place = plain.end()
            continue
        end, token = _read(text, place)
        if token:
            yield token
        place = end


def _read(text: str, place: int) -> tuple[int, str]:
    """Return where the token at a place ends, and the token; empty for what is dropped."""
    furthest, chosen, end, write = place, "", place + 1, _as_it_is
    first = text[place]
    for rule in _rules_for(first):
        found = rule.pattern.match(text, place)
        if found and found.end() > furthest:
            group = 1 if rule.pattern.groups else 0
            furthest, end, chosen, write = found.end(), found.end(group), found[group], rule.write
    if chosen:
        return end, write(chosen)
    return end, _BRACKETS.get(first) or (first if _SIGN.match(first) else "")


@lru_cache(_KEPT)
def _rules_for(first: str) -> tuple[_Rule, ...]:
    """Return the rules that a token with this first character may follow, in order."""
    kind = "a" if first.isascii() and first.isalpha() else "0" if first in "0123456789" else first
    return tuple(rule for starts, rule in _rules() if starts is None or kind in starts)


def _as_it_is(token: str) -> str:
    return token


def _word(token: str) -> str:
    return token.replace("\xad", "").replace("&amp;", "&")


def _spaced(token: str) -> str:
    """Return a token whose spaces became no-break ones, so that it stays one."""
    return token.replace(" ", "\xa0")


def _phone(token: str) -> str:
    return _spaced(token).replace("(", "-lrb-").replace(")", "-rrb-")


def _face(token: str) -> str:
    return token.replace("(", "-lrb-").replace(")", "-rrb-")


def _apostrophe(token: str) -> str:
    return _APOSTROPHES.sub("'", token)


def _characters(ranges: str) -> str:
    """Return ranges such as `aa 300-36f` as they stand in a regular expression's set of characters."""
    ends = (each.partition("-") for each in ranges.split())
    return "".join(rf"\u{int(first, 16):04x}-\u{int(last or first, 16):04x}" for first, _, last in ends)


_PLAIN = re.compile(r"[A-Za-z]{2,}(?=[ \n])")  # most of what captions hold: a word, and a space
_SPLIT = frozenset({"cannot", "gonna", "wanna", "gotta", "lemme", "gimme"})
_APOSTROPHES = re.compile("[\x92\u2019]|&apos;")
_SIGN = re.compile(rf"[!-/:-@\[-`{{-~{_characters(ptb_characters.SIGNS)}]")


@cache
def _rules() -> list[tuple[str | None, _Rule]]:
    """Return the rules in order, each with the first characters it can begin with: `a` any ASCII letter, `0` a digit."""
    rules: list[tuple[str | None, _Rule]] = []

    def rule(starts: str | None, pattern: str, write: Callable[[str], str] = _as_it_is) -> None:
        rules.append((starts, _Rule(re.compile(pattern), write)))

    letters = f"A-Za-z{_characters(ptb_characters.LETTERS)}"
    marks, digits = _characters(ptb_characters.MARKS), f"0-9{_characters(ptb_characters.DIGITS)}"
    accented = "&[aeiouAEIOU](?:acute|grave|uml);"
    start, more = f"(?:[{letters}{marks}]|{accented})", f"(?:[{letters}{marks}{digits}]|{accented})*"
    part = f"{start}{more}"
    word = f"{part}(?:[.!?]{part})*"
    apostrophe = "(?:['\x92\u2019]|&apos;)"
    mark = "(?:['`\x91\x92\u2018\u2019\u201b]|&apos;)"  # whatever people write for an apostrophe
    piece = f"(?:[dDoOlL]{mark}[{letters}{digits}])?(?:[{letters}{digits}]|{accented})+"
    thing = f"{piece}(?:[-_\u058a\u2010\u2011]{piece})*"
    space = "[ \t\xa0\u2000-\u200a\u3000]"

    # Tags, entities and addresses.
    name = "[A-Za-z][A-Za-z0-9_:.-]*"
    value = "[ ]*=[ ]*(?:'[^'\n]*'|\"[^\"\n]*\")"
    rule("<", f"<(?:[!?][A-Za-z-][^>\n]*|/?{name}(?:[ ]+(?:{name}(?:{value})?))*[ ]*/?[ ]*)>", _spaced)
    rule("&", "&(?:MD|mdash|ndash);", lambda _: "--")
    rule("&", "&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);")
    rule("&", "|".join(_ENTITIES), _ENTITIES.__getitem__)
    rule("a", '(?i:https?)://[^ \t\n"<>|()]+[^ \t\n"<>|.!?(){},-]')
    path = '(?:/[^ \t\n"<>|()]+[^ \t\n"<>|.!?(){},-])?'
    rule("a", rf'(?i:www)\.(?:[^ \t\n"<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}{path}')
    rule(None, rf"(?:[^ \t\n\"`'<>|.!?(){{}},-_$]+\.)+(?i:com|net|org|edu){path}")
    host = r'(?:[^ \t\n"<>|(){}.\xa0]+\.)*[^ \t\n"<>|(){}.\xa0]+'
    rule("<&a0", rf'(?:&lt;|<)?[a-zA-Z0-9][^ \t\n"<>|(){{}}\xa0]*@{host}>?')
    rule("@", "@[a-zA-Z_][a-zA-Z_0-9]*")
    rule("#", f"#[{letters}]+")

    # Words that come apart, or hold an apostrophe.
    rule("a", "((?i:can))(?i:not)")
    rule("a", "((?i:gon|wan))(?i:na)")
    rule("a", "((?i:got))(?i:ta)")
    rule("a", "((?i:lem|gim))(?i:me)")
    rule("'\x92\u2019&", f"({apostrophe}(?i:t))(?i:is|was)", _apostrophe)
    rule("a", f"([A-Za-z\xad]*[A-MO-Za-mo-z]\xad*)[nN]{mark}[tT]", _word)
    rule("a", f"[nN]{mark}[tT]", _not)
    rule("'\x92\u2019&", f"({apostrophe}(?i:[msd]|re|ve|ll))[^A-Za-z]", _apostrophe)
    rule("'\x92\u2019&", f"{apostrophe}(?i:[msd]|re|ve|ll)", _apostrophe)
    rule("a", f"[yY]{apostrophe}(?=[A-Za-z])")
    rule(
        None,
        f"{apostrophe}(?i:n){apostrophe}?|{apostrophe}(?i:em|till?|cause)|{apostrophe}[2-9]0s|"
        f"[lLdDjJ]{apostrophe}|(?i:ol|dunkin|somethin){apostrophe}|[A-HJ-XZn]{mark}[{letters}]{{2,}}|"
        f"[{letters}]+[aeiouyAEIOUY]{mark}[aeiouA-Z][{letters}]*|"
        f"(?i:cont'd\\.|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l|cap'n)",
        _word,
    )
    rule(None, f"({word}){apostrophe}(?i:[msd]|re|ve|ll)", _word)
    rule("'\x92\u2019", f"({apostrophe}[0-9]{{2}})(?:{space}|\n)")
    rule("'", f"(')[{letters}][^ \t\n\xa0]", lambda _: "`")

    # Abbreviations.
    firm = rf"(?:(?i:ph\.d|ed\.d|{'|'.join(_FIRM.split())})|{'|'.join(f'{each}|{each.upper()}' for each in _CAPITALISED.split())})"
    rule(None, word, _word)
    rule("a", f"({firm}\\.)[\\s\\S]{{2}}")
    rule("a", rf"(?:{firm}|(?i:{'|'.join(_LOOSE.split())}))\.")
    rule("a", f"((?i:{'|'.join(_BEFORE_NUMBERS.split())})\\.){space}?[{digits}]")
    openers = "|".join(each for opener in _OPENERS.split() for each in (opener, opener.upper()))
    rule("a", rf"([A-Za-z])\.(?:[ \t\xa0\n]+(?:{openers}|Mr\.|Ms\.)[ \t\xa0\n]|[ \t\xa0\n]+<[A-Za-z][^>\n]*>)")
    rule("a", r"[A-Za-z](?:\.[A-Za-z])*\.")
    rule(None, f"((?:{word})\\.)[,;:\u3001]", _word)

    # Numbers.
    number = f"(?:[{digits}]*(?:[.:,\xad\u066b\u066c][{digits}]+)+|[{digits}]+)"
    rule(None, f"[-+]?{number}", _word)
    rule(None, f"({number}\\.)[,;:\u3001]", _word)
    rule(None, "[\u207a\u207b\u208a\u208b]?(?:[\u2070\xb9\xb2\xb3\u2074-\u2079]+|[\u2080-\u2089]+)")
    rule("0", r"(?:[0-9]{1,4}[- \xa0])?[0-9]{1,4}(?:\\?/|\u2044)[0-9]{1,4}", _spaced)
    rule("".join(_FRACTIONS), f"[{''.join(_FRACTIONS)}]", _FRACTIONS.__getitem__)
    rule("0", r"[0-9]{1,2}[-/][0-9]{1,2}[-/][0-9]{2,4}")
    local = "[0-9]{3,4}[- \xa0]?[0-9]{3,5}"
    for area in (
        r"\([0-9]{2,3}\)[ \xa0]?",
        "(?:\\+\\+?)?[0-9]{2,4}[- \xa0][0-9]{2,4}[- \xa0]",
        "(?:\\+\\+?)?[0-9]{2,4}[- \xa0]",
    ):
        rule("(+0", area + local, _phone)
    rule("+0", r"(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}")
    rule("".join(_MONEY), f"[{''.join(_MONEY)}]", _MONEY.__getitem__)
    rule("a$", r"[A-Z]*\$")

    # Words.
    rule("a0", r"[A-Za-z0-9][A-Za-z0-9.,\xad]*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9\xad]+))+", _word)
    rule("a0", r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}")
    rule("a", "[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+", _word)
    rule("a", r"[cC]\+\+|[cCfF]#")
    files = "bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip|wm[va]"
    rule(None, rf"((?:[{letters}{digits}]+\.)+(?i:{files}))(?:{space}|[\n.?!,])")
    rule(None, thing, _word)

    # Signs.
    faces = r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"
    rule("<>:;=", f"({faces})[^A-Za-z0-9]", _face)
    rule(None, r"[-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)", _face)
    rule(
        "'`\x91\x93\x94\xab\xbb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a",
        "''|[`\x91-\x94\xab\xbb\u2018-\u201f\u2039\u203a]{1,2}",
        lambda token: token.translate(_QUOTES),
    )
    rule("\x92\u2019", "[\x92\u2019]", lambda _: "'")
    rule("\x96\x97\u2013\u2014\u2015", "[\x96\x97\u2013-\u2015]", lambda _: "--")
    rule("-", "-{3,4}(?!-)|-+", lambda token: "--" if 1 < len(token) < 5 else token)
    rule(".\u2026", r"\.{3,5}|(?:\.[ \xa0]){2,4}\.|\u2026", lambda _: "...")
    rule("?!", "[?!]+")
    rule("*\\", r"\*+|(?:\\\*){1,3}")
    for sign in "@#_":
        rule(sign, f"{sign}+")
    rule("<>", "<<|>>")
    rule('"', '"', lambda _: "''")
    return rules


def _not(token: str) -> str:
    """Return the negation's short form, with its mark as the tokenizer writes it."""
    return _apostrophe(token).translate(_QUOTES)
