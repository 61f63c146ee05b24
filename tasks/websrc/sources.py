"""Where the questions come from: the official files, the hub, or the embedded microworld."""

from __future__ import annotations

import hashlib
import html
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from kosmos_eval.data.folder import (
    find_if_there,
    find_pictures,
    list_folder,
    read_field,
    read_json,
    read_table,
    read_text,
)
from kosmos_eval.data.hub import hub_rows
from kosmos_eval.errors import DataError
from kosmos_eval.microworld.pages import pages
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.prompt import Image

SPLITS = ("train", "dev", "test")

_CURE = "get it from x-lance.github.io/WebSRC"
_SPLIT_FILES = ("dataset_split_release.json", "dataset_split.json")
_PUBLISHED = {
    "dev": ("au01", "au08", "bo17", "ga10", "ga12", "jo11", "mo02", "ph04", "sp09", "sp10"),
    "test": ("au02", "au14", "ga06", "ga08", "ga38", "ho07", "ho08", "mo08", "sp16", "un08"),
}
"""Sites of the splits, as `dataset_split_release.json` of X-LANCE/WebSRC-Baseline lists them; all others are train."""

_ID = re.compile(r"[a-z]{2}\d{12}")
_DOMAIN = re.compile(r"[a-z]+")
_SITE = re.compile(r"\d\d")
_PAGE = slice(2, 9)
_MARKUP = re.compile(
    r"<!--.*?-->|<(script|style)\b.*?</\1\s*>|<[a-z/!?](?:\"[^\"]*\"|'[^']*'|[^>\"'])*>", re.DOTALL | re.IGNORECASE
)
_CLOSED = frozenset({"yes", "no"})


@dataclass(frozen=True, kw_only=True)
class WebSRCSample(Sample):
    """A question about a web page. Its key is the question's id, its cluster the page.

    Attributes:
        image: the page as it looks.
        text: the page's words, with single spaces; empty where the prompt has none.
        question: as it was asked.
        answer: a span of the page's text, or yes or no; empty when unlabelled.
    """

    image: Image
    text: str
    question: str
    answer: str = ""


@cache
def _groups(domain: str, kind: str) -> Mapping[str, str]:
    """Return a sample's groups, one mapping for all samples of the same kinds."""
    return {"domain": domain, "answer": kind} if kind else {"domain": domain}


def page_text(markup: str) -> str:
    """Return a page's strings in their order, with single spaces; scripts, styles and comments have none."""
    return " ".join(html.unescape(_MARKUP.sub(" ", markup)).split())


def read_mini(split: str, *, text: bool) -> Iterator[WebSRCSample]:
    """Yield the questions of the embedded microworld.

    Raises:
        UsageError: the microworld has no such split.
    """
    for page in pages(split):
        words = page_text(page.html) if text else ""
        for number, each in enumerate(page.questions):
            yield WebSRCSample(
                key=f"{page.page_id}{number:02}",
                cluster=page.page_id,
                groups=_groups("shop", "yes/no" if each.closed else "span"),
                image=page.image,
                text=words,
                question=each.text,
                answer=each.answer,
            )


def read_folder(folder: Path, split: str, *, text: bool) -> list[WebSRCSample]:
    """Return the questions of the official files, by domain and site, in the order of each file; pictures unopened.

    A site is a folder `{domain}/{number}` with `dataset.csv` and `processed_data/{page}.html` and `.png`; the domains
    are in the folder, or else in sub-folders of it, in several where train and test were unpacked apart. Which site is
    in which split is read from `dataset_split_release.json` or `dataset_split.json`, or is as published where there is
    neither.

    Args:
        folder: that the user named.
        split: train, dev or test.
        text: whether the pages' text is read.

    Raises:
        DataError: something is missing, unreadable or inconsistent; all is checked before the first sample is returned.
    """
    sites, named = _sites(folder), _named_splits(folder)
    wanted = {code: place for code, place in sites.items() if _split_of(code, named) == split}
    if not wanted:
        there = ", ".join(f"{code} ({_split_of(code, named)})" for code in list(sites)[:5])
        message = f"{folder}: expected sites of split {split}, found only {there}; unpack the others there, or {_CURE}"
        raise DataError(message)
    samples: dict[str, WebSRCSample] = {}
    for code, site in wanted.items():
        for sample in _read_site(site, code, labelled=split != "test", text=text):
            if sample.key in samples:
                message = f"{site / 'dataset.csv'}: expected each id once, got {sample.key} twice; unpack it again"
                raise DataError(message)
            samples[sample.key] = sample
    return list(samples.values())


def _sites(folder: Path) -> dict[str, Path]:
    """Return code to folder of each site: `au03` is `auto/03`."""
    roots = [folder / each.name for each in list_folder(folder) if each.is_folder]
    sites: dict[str, Path] = {}
    for site in list(_sites_of(folder)) or [site for root in roots for site in _sites_of(root)]:
        code = f"{site.parent.name[:2]}{site.name}"
        if code in sites:
            message = f"{folder}: expected each site once, got {sites[code]} and {site}; remove one"
            raise DataError(message)
        sites[code] = site
    if sites:
        return sites
    message = f"{folder}: expected sites such as auto/03/dataset.csv, found none; {_CURE}"
    raise DataError(message)


def _sites_of(root: Path) -> Iterator[Path]:
    """Yield the folders such as `auto/03` that have a `dataset.csv`."""
    for domain in list_folder(root):
        if domain.is_folder and _DOMAIN.fullmatch(domain.name):
            for number in list_folder(root / domain.name):
                site = root / domain.name / number.name
                if _SITE.fullmatch(number.name) and any(each.name == "dataset.csv" for each in list_folder(site)):
                    yield site


def _named_splits(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Return split to its sites, as the folder's file says; train may be all others."""
    path = next((path for name in _SPLIT_FILES if (path := find_if_there(folder, name))), None)
    if path is None:
        return _PUBLISHED
    record = read_json(path)
    listed = {name: read_field(record, name, list, str(path)) for name in ("dev", "test")}
    if isinstance(record, dict) and record.get("train"):
        listed["train"] = read_field(record, "train", list, str(path))
    elif not listed["test"]:  # older than the release of test, whose sites have no answers and are nobody's train
        listed["test"] = list(_PUBLISHED["test"])
    return {name: tuple(map(str, codes)) for name, codes in listed.items()}


def _split_of(code: str, named: Mapping[str, tuple[str, ...]]) -> str:
    return next((name for name, codes in named.items() if code in codes), "none" if "train" in named else "train")


def _read_site(site: Path, code: str, *, labelled: bool, text: bool) -> list[WebSRCSample]:
    path = site / "dataset.csv"
    label = f"{site.parent.name}/{site.name}"
    rows = read_table(path, ("question", "id", "element_id", "answer") if labelled else ("question", "id"))
    wanted: list[tuple[str, str]] = []
    for where, row in rows:
        if not _ID.fullmatch(row["id"]) or row["id"][:4] != code:
            message = f"{label}/{where}: expected an id of 14 characters that begins with {code}, got {row['id']!r:.40}"
            raise DataError(message)
        wanted.append((f"{label}/{where}", f"{row['id'][_PAGE]}.png"))
    images = find_pictures(site / "processed_data", wanted)
    texts = {name: _text_of(site, name[:-4]) if text else "" for name in images}
    samples = []
    for (where, row), (_, picture) in zip(rows, wanted, strict=True):
        if not row["question"].strip():
            message = f"{label}/{where}: expected the question {row['id']} to have words, got {row['question']!r}"
            raise DataError(message)
        samples.append(
            WebSRCSample(
                key=row["id"],
                cluster=row["id"][:9],
                groups=_groups(site.parent.name, _kind(row) if labelled else ""),
                labelled=labelled,
                image=images[picture],
                text=texts[picture],
                question=row["question"],
                answer=row["answer"] if labelled else "",
            )
        )
    return samples


def _kind(row: Mapping[str, str]) -> str:
    """Return whether an answer is yes or no, which is in no element of the page, or a span of the page's text."""
    return "yes/no" if row["element_id"].strip() == "-1" else "span"


def _text_of(site: Path, page: str) -> str:
    path = site / "processed_data" / f"{page}.html"
    if not path.is_file():
        message = f"{path}: expected the page's HTML there, found none; unpack it again, or ask websrc:image-only"
        raise DataError(message)
    return page_text(read_text(path))


def read_hub(repository: str, revision: str | None, split: str) -> Iterator[WebSRCSample]:
    """Yield the questions of a dataset with the columns of rootsautomation/websrc, pictures unopened.

    Its train and dev have no ids: a question is known by its page and a digest of its words.

    Raises:
        DataError: the dataset cannot be read, lacks columns, or a row is inconsistent.
    """
    labelled = split != "test"
    columns = ("domain", "page_id", "question", "answer" if labelled else "id")
    rows = hub_rows(repository, split, revision=revision, columns=columns, base64_columns=("image",))
    seen: Counter[str] = Counter()
    images: dict[str, Image] = {}  # the rows of one page repeat its picture; the first one's is taken
    for number, row in enumerate(rows):
        where = f"dataset {repository}, split {split}, row {number}"
        domain, question = (read_field(row, name, str, where) for name in ("domain", "question"))
        answer = read_field(row, "answer", str, where) if labelled else ""
        page = f"{domain[:2]}{row['page_id']}"
        digest = hashlib.sha256(question.encode()).hexdigest()[:12]
        key = f"{page}-{digest}" if labelled else read_field(row, "id", str, where)
        seen[key] += 1
        if seen[key] > 1 and not labelled:
            message = f"{where}: expected each id once, got {key} again; name an intact copy"
            raise DataError(message)
        yield WebSRCSample(
            key=key if seen[key] == 1 else f"{key}-{seen[key]}",  # the same words again, about the same page
            cluster=page,
            groups=_groups(domain, "" if not labelled else "yes/no" if answer.strip().lower() in _CLOSED else "span"),
            labelled=labelled,
            image=images.setdefault(page, row["image"]),
            text="",
            question=question,
            answer=answer,
        )
