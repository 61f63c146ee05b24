"""Documents of a user's own records: what they say, and that they are drawn alike each time."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.training.config import OwnSettings, StreamSettings
from kosmos_eval.model.training.documents import Documents
from kosmos_eval.model.training.packing import Picture, Words
from kosmos_eval.model.training.streams.own import Own

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.model.tokenizer import Tokenizer

STREAMS = StreamSettings(tokens=10, own=1.0, prompts=0.25)


def _png() -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), (200, 0, 0)).save(file, "png")
    return file.getvalue()


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A record with a picture, one without, one with a broken picture, and one that says nothing."""
    records: list[dict[str, bytes]] = [
        {"png": _png(), "json": json.dumps({"asked": "which", "said": ["a dog", "a cat"]}).encode()},
        {"json": json.dumps({"asked": "what", "said": "a very long story"}).encode()},
        {"png": b"no picture", "json": json.dumps({"asked": "who", "said": "a bird"}).encode()},
        {"png": _png(), "json": json.dumps({"asked": "why", "said": ""}).encode()},
    ]
    with tarfile.open(tmp_path / "own.tar", "w") as tar:
        for number, record in enumerate(records):
            for extension, data in record.items():
                member = tarfile.TarInfo(f"{number}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return tmp_path / "own.tar"


def _own(tokenizer: Tokenizer, shard: Path, **settings: Any) -> Own:  # noqa: ANN401  as the settings have them
    asked: dict[str, Any] = {"text": "json:said", "prompt": "Question: {json:asked}? Answer:", "broken": "skip"}
    return Own(tokenizer, STREAMS, OwnSettings(shards=str(shard), **{**asked, **settings}))


def _said(tokenizer: Tokenizer, own: Own, side: int = 8) -> tuple[set[str], Documents]:
    """Return documents as text: pictures as <image>, what is learnt in brackets, ends as ."""
    documents, said = Documents(side), set()
    for number in range(60):
        parts = [part for node in own.make(f"test|{number}", documents) for part in node.parts]
        line = ""
        for part in parts:
            if isinstance(part, Words):
                text = tokenizer.decode(part.ids) + ("." if tokenizer.eos in part.ids else "")
                line += {0.0: text, 0.25: f"({text})", 1.0: f"[{text}]"}[part.weight]
            else:
                line += "<image>"
        said.add(line)
    return said, documents


def test_a_document_is_a_picture_a_prompt_and_a_text(tokenizer: Tokenizer, shard: Path) -> None:
    said, documents = _said(tokenizer, _own(tokenizer, shard))
    assert said == {
        "<image>(Question: which? Answer:)[a dog.]",
        "<image>(Question: which? Answer:)[a cat.]",
        "(Question: what? Answer:)[a very long story.]",
    }
    assert all(pixels.shape == (3, 8, 8) for pixels in documents.pixels)
    assert len(documents.pixels) == len(documents.labels)


def test_a_document_is_a_function_of_its_subject(tokenizer: Tokenizer, shard: Path) -> None:
    one, other = (_own(tokenizer, shard) for _ in range(2))
    for number in range(20):
        assert one.make(f"s|{number}", Documents(8)) == other.make(f"s|{number}", Documents(8))


def test_a_long_text_is_cut_without_an_end_and_counted(tokenizer: Tokenizer, shard: Path) -> None:
    own = _own(tokenizer, shard, most_tokens=6, prompt="")
    said, _ = _said(tokenizer, own)
    assert said == {"<image>[a dog.]", "<image>[a cat.]", "[a very]"}
    assert "1 texts of 3 longer than 6 tokens and cut" in own.summary


def test_a_broken_record_stops_the_run_unless_it_may_be_skipped(
    tokenizer: Tokenizer, shard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"own\.tar: 3\.png: expected a text in json:said, got none; mend it, or skip"):
        _own(tokenizer, shard, broken="stop")
    own = _own(tokenizer, shard)
    assert own.summary.startswith("own: 4 records; 1 without a picture, ")
    assert own.summary.endswith("1 of 4 broken and skipped")
    _said(tokenizer, own)
    assert "skipped: image " in capsys.readouterr().err
    patient = _own(tokenizer, shard, text="json:asked", prompt="", broken="stop")
    with pytest.raises(DataError, match=r"image .*own\.tar: 2\.png: cannot be read"):
        _said(tokenizer, patient)


def test_records_can_be_text_alone(tokenizer: Tokenizer, shard: Path) -> None:
    said, documents = _said(tokenizer, _own(tokenizer, shard, image="none", prompt=""))
    assert said == {"[a dog.]", "[a cat.]", "[a very long story.]", "[a bird.]"}
    assert not documents.pixels


def test_a_model_without_a_tower_is_given_no_picture(tokenizer: Tokenizer, shard: Path) -> None:
    own = _own(tokenizer, shard)
    with pytest.raises(UsageError, match=r'expected "none" for a model without a vision tower'):
        _said(tokenizer, own, side=0)


@pytest.mark.parametrize("prompt", ["Question: {}", "Question: {asked", "set {"])
def test_a_malformed_prompt_is_refused(tokenizer: Tokenizer, shard: Path, prompt: str) -> None:
    with pytest.raises(UsageError, match=r"\[own\] prompt: expected text with \{field\}s"):
        _own(tokenizer, shard, prompt=prompt)


def test_other_records_have_another_fingerprint(tokenizer: Tokenizer, shard: Path) -> None:
    before, same = (_own(tokenizer, shard).fingerprint for _ in range(2))
    shard.write_bytes(shard.read_bytes().replace(b"a dog", b"a cow"))
    assert before == same != _own(tokenizer, shard).fingerprint


def test_pictures_are_numbered_as_they_are_added(tokenizer: Tokenizer, shard: Path) -> None:
    own, documents = _own(tokenizer, shard), Documents(8)
    nodes = [node for number in range(30) for node in own.make(f"s|{number}", documents)]
    numbers = [part.number for node in nodes for part in node.parts if isinstance(part, Picture)]
    assert numbers == list(range(len(documents.pixels)))
