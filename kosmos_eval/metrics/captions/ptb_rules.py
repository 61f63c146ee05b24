r"""The rules of `ptb.py`: what tokens look like, in the order in which they win when they read equally far.

Each is a regular expression. Its group, or the whole where there is none, is the token; what follows the group is only
looked at, and counts as read. `starts` are the characters that a token of the rule can begin with, `a` standing for any
ASCII letter and `0` for any ASCII digit; `None` where they are too many to be listed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from . import ptb_characters

if TYPE_CHECKING:
    from collections.abc import Callable

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
    {'"': "''"}
    | {"\u2018": "`", "\u201b": "`", "\u2039": "`", "\x91": "`", "\u2019": "'", "\u203a": "'", "\x92": "'"}
    | {"\u201c": "``", "\xab": "``", "\x93": "``", "\u201d": "''", "\xbb": "''", "\x94": "''"}
)


class Rule(NamedTuple):
    """What a token looks like, what it can begin with, and how it is written."""

    starts: str | None
    pattern: str
    write: Callable[[str], str]


def as_it_is(token: str) -> str:
    """Return the token."""
    return token


def characters(ranges: str) -> str:
    """Return ranges such as `aa 300-36f` as they stand in a regular expression's set of characters."""
    ends = (each.partition("-") for each in ranges.split())
    return "".join(rf"\u{int(first, 16):04x}-\u{int(last or first, 16):04x}" for first, _, last in ends)


def rules() -> list[Rule]:
    """Return all rules in order."""
    return [*_addresses(), *_contractions(), *_abbreviations(), *_numbers(), *_words(), *_signs()]


def _word(token: str) -> str:
    return token.replace("\xad", "").replace("&amp;", "&")


def _spaced(token: str) -> str:
    """Return a token whose spaces became no-break ones, so that it stays one."""
    return token.replace(" ", "\xa0")


def _face(token: str) -> str:
    return token.replace("(", "-lrb-").replace(")", "-rrb-")


def _phone(token: str) -> str:
    return _face(_spaced(token))


def _apostrophe(token: str) -> str:
    return re.sub("[\x92\u2019]|&apos;", "'", token)


def _not(token: str) -> str:
    return _quotes(_apostrophe(token))


def _quotes(token: str) -> str:
    return token.translate(_QUOTES)


def _dash(token: str) -> str:
    return token if set(token) == {"-"} and (len(token) == 1 or len(token) > _LONGEST_DASH) else "--"


def _stopped(token: str) -> str:
    return f"{token}."


def _nothing(_: str) -> str:
    return ""


def _dots(_: str) -> str:
    return "..."


_LETTERS = f"A-Za-z{characters(ptb_characters.LETTERS)}"
_DIGITS = f"0-9{characters(ptb_characters.DIGITS)}"
_MARKS = characters(ptb_characters.MARKS)
_ACCENTED = "&[aeiouAEIOU](?:acute|grave|uml);"
_PART = f"(?:[{_LETTERS}{_MARKS}]|{_ACCENTED})(?:[{_LETTERS}{_MARKS}{_DIGITS}]|{_ACCENTED})*"
_WORD = f"{_PART}(?:[.!?]{_PART})*"
_SPACE = "[ \t\xa0\u2000-\u200a\u3000]"
_CURLY = "\x92\u2019"
_APOSTROPHE = f"(?:['{_CURLY}]|&apos;)"
_MARK = f"(?:['`\x91\u2018\u201b{_CURLY}]|&apos;)"  # whatever people write for an apostrophe
_PIECE = f"(?:[dDoOlL]{_MARK}[{_LETTERS}{_DIGITS}])?(?:[{_LETTERS}{_DIGITS}]|{_ACCENTED})+"
_THING = f"{_PIECE}(?:[-_\u058a\u2010\u2011]{_PIECE})*"  # a word with hyphens
_HYPHENED = r"[A-Za-z0-9][A-Za-z0-9.,\xad]*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9\xad]+))+"
_CAPITALS = "[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+"
_LONGEST_DASH = 4
_TAG_NAME = "[A-Za-z][A-Za-z0-9_:.-]*"
_TAG_VALUE = "[ ]*=[ ]*(?:'[^'\n]*'|\"[^\"\n]*\")"
_TAG = f"<(?:[!?][A-Za-z-][^>\n]*|/?{_TAG_NAME}(?:[ ]+(?:{_TAG_NAME}(?:{_TAG_VALUE})?))*[ ]*/?[ ]*)>"


def _addresses() -> list[Rule]:
    """Return the rules of tags, entities and addresses."""
    last = '[^ \t\n"<>|.!?(){},-]'
    path = f'(?:/[^ \t\n"<>|()]+{last})?'
    host = r'(?:[^ \t\n"<>|(){}.\xa0]+\.)*[^ \t\n"<>|(){}.\xa0]+'
    return [
        Rule("<", _TAG, _spaced),
        Rule("&", "&(?:MD|mdash|ndash);", _dash),
        Rule("&", "&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);", as_it_is),
        Rule("&", "|".join(_ENTITIES), _ENTITIES.__getitem__),
        Rule("a", f'(?i:https?)://[^ \t\n"<>|(){{}}]+{last}', as_it_is),
        Rule("a", rf'(?i:www)\.(?:[^ \t\n"<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}{path}', as_it_is),
        Rule(None, rf"(?:[^ \t\n\"`'<>|.!?(){{}},-_$]+\.)+(?i:com|net|org|edu){path}", as_it_is),
        Rule("<&a0", rf'(?:&lt;|<)?[a-zA-Z0-9][^ \t\n"<>|(){{}}\xa0]*@{host}>?', as_it_is),
        Rule("@", "@[a-zA-Z_][a-zA-Z_0-9]*", as_it_is),
        Rule("#", f"#[{_LETTERS}]+", as_it_is),
    ]


def _contractions() -> list[Rule]:
    """Return the rules of words that come apart, or hold an apostrophe."""
    marked = (
        f"{_APOSTROPHE}(?i:n){_APOSTROPHE}?",
        f"{_APOSTROPHE}(?:(?i:em|till?|cause)|[2-9]0s)",
        f"(?:[lLdDjJ]|(?i:ol|dunkin|somethin)){_APOSTROPHE}",
        f"[A-HJ-XZn]{_MARK}[{_LETTERS}]{{2,}}",
        f"[{_LETTERS}]+[aeiouyAEIOUY]{_MARK}[aeiouA-Z][{_LETTERS}]*",
        r"(?i:cont'd\.|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l|cap'n)",
    )
    ending = "(?i:[msd]|re|ve|ll)"
    return [
        Rule("a", "((?i:can))(?i:not)", as_it_is),
        Rule("a", "((?i:gon|wan))(?i:na)", as_it_is),
        Rule("a", "((?i:got))(?i:ta)", as_it_is),
        Rule("a", "((?i:lem|gim))(?i:me)", as_it_is),
        Rule(f"'&{_CURLY}", f"({_APOSTROPHE}(?i:t))(?i:is|was)", _apostrophe),
        Rule("a", f"([A-Za-z\xad]*[A-MO-Za-mo-z]\xad*)[nN]{_MARK}[tT]", _word),
        Rule("a", f"[nN]{_MARK}[tT]", _not),
        Rule(f"'&{_CURLY}", f"({_APOSTROPHE}{ending})[^A-Za-z]", _apostrophe),
        Rule(f"'&{_CURLY}", f"{_APOSTROPHE}[mMsSdD]", _apostrophe),
        Rule(None, f"({_WORD}){_APOSTROPHE}{ending}", _word),
        Rule("a", f"[yY]{_APOSTROPHE}(?=[A-Za-z])", as_it_is),
        Rule(None, "|".join(marked), _word),
        Rule(f"'{_CURLY}", f"({_APOSTROPHE}[0-9]{{2}})(?:{_SPACE}|\n)", as_it_is),
        Rule("'", f"(')[{_LETTERS}][^ \t\n\xa0]", as_it_is),
    ]


def _abbreviations() -> list[Rule]:
    """Return the rules of words with a full stop."""
    capitalised = "|".join(form for word in _CAPITALISED.split() for form in (word, word.upper()))
    firm = rf"(?:(?i:ph\.d|ed\.d|{'|'.join(_FIRM.split())})|{capitalised})"
    openers = "|".join(form for word in _OPENERS.split() for form in (word, word.upper()))
    return [
        Rule(None, _WORD, _word),
        Rule("a", f"({firm}\\.)[\\s\\S]{{2}}", as_it_is),
        Rule("a", rf"({firm})\.", _stopped),  # at the end of a text; its full stop is read again
        Rule("a", rf"(?i:{'|'.join(_LOOSE.split())})\.", as_it_is),
        Rule("a", f"((?i:{'|'.join(_BEFORE_NUMBERS.split())})\\.)(?:{_SPACE}|\n)?[{_DIGITS}]", as_it_is),
        Rule("a", rf"([A-Za-z])\.(?:{_SPACE}|\n)+(?:(?:{openers}|Mr\.|Ms\.)(?:{_SPACE}|\n)|{_TAG})", as_it_is),
        Rule("a", r"[A-Za-z](?:\.[A-Za-z])*\.", as_it_is),
        Rule(None, f"((?:{_WORD})\\.)[,;:\u3001]", _word),
        Rule(None, f"({_THING}\\.)[,;:\u3001]", _word),
        Rule("a0", f"((?:{_HYPHENED})\\.)[,;:\u3001]", _word),
        Rule("a", f"({_CAPITALS}\\.)[,;:\u3001]", _word),
    ]


def _numbers() -> list[Rule]:
    """Return the rules of numbers, telephone numbers and money."""
    number = f"(?:[{_DIGITS}]*(?:[.:,\xad\u066b\u066c][{_DIGITS}]+)+|[{_DIGITS}]+)"
    local = "[0-9]{3,4}[- \xa0]?[0-9]{3,5}"
    return [
        Rule(None, f"[-+]?{number}", _word),
        Rule(None, "[\u207a\u207b\u208a\u208b]?(?:[\u2070\xb9\xb2\xb3\u2074-\u2079]+|[\u2080-\u2089]+)", as_it_is),
        Rule("0", r"(?:[0-9]{1,4}[- \xa0])?[0-9]{1,4}(?:\\?/|\u2044)[0-9]{1,4}", _spaced),
        Rule("".join(_FRACTIONS), f"[{''.join(_FRACTIONS)}]", _FRACTIONS.__getitem__),
        Rule("0", r"[0-9]{1,2}[-/][0-9]{1,2}[-/][0-9]{2,4}", as_it_is),
        Rule("(", rf"\([0-9]{{2,3}}\)[ \xa0]?{local}", _phone),
        Rule("+0", rf"(?:\+\+?)?[0-9]{{2,4}}[- \xa0][0-9]{{2,4}}[- \xa0]{local}", _phone),
        Rule("+0", rf"(?:\+\+?)?[0-9]{{2,4}}[- \xa0]{local}", _phone),
        Rule("+0", r"(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}", as_it_is),
        Rule("".join(_MONEY), f"[{''.join(_MONEY)}]", _MONEY.__getitem__),
        Rule("a$", r"[A-Z]*\$", as_it_is),
    ]


def _words() -> list[Rule]:
    """Return the rules of words with hyphens, slashes and the like."""
    hyphened = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
    endings = "bat|bmp|cpp|class|cgi|c|dll|docx?|exe|gif|gz|html?|h|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|py"
    endings += "|sql|tar|txt|wav|wm[va]|xml|x|zip"
    return [
        Rule("a0", _HYPHENED, _word),
        Rule("a0", rf"{hyphened}(?:\\?/{hyphened}){{1,2}}", as_it_is),
        Rule("a", _CAPITALS, _word),
        Rule("a", r"[cC]\+\+|[cCfF]#", as_it_is),
        Rule(None, rf"((?:[{_LETTERS}{_DIGITS}]+\.)+(?i:{endings}))(?:{_SPACE}|[\n.?!,])", as_it_is),
        Rule(None, _THING, _word),
    ]


def _signs() -> list[Rule]:
    """Return the rules of what is no word."""
    quotes = "`\x91-\x94\xab\xbb\u2018-\u201f\u2039\u203a"
    eyes = "-^x=~<>'"
    faces = rf"[{eyes}]_[{eyes}]|\([{eyes}][_.]?[{eyes}]\)|\([\^x=~<>']-[\^x=~<>'`]\)"
    return [
        Rule("<>:;=", r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])[^A-Za-z0-9]", _face),
        Rule(None, faces, _face),
        Rule(None, f"''|[{quotes}]{{1,2}}", _quotes),
        Rule(_CURLY, f"[{_CURLY}]", _apostrophe),
        Rule('"', '"', _quotes),
        Rule(None, "-+|[\x96\x97\u2013-\u2015]", _dash),
        Rule(".\u2026", r"\.{3,5}|(?:\.[ \xa0]){2,4}\.|\u2026", _dots),
        Rule("?!", "[?!]+", as_it_is),
        Rule("*\\", r"\*+|(?:\\\*){1,3}", as_it_is),
        Rule("@#_", "@+|#+|_+", as_it_is),
        Rule("<>", "<<|>>", as_it_is),
        Rule(None, f"{_SPACE}+", _nothing),
    ]
