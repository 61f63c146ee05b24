"""A tokenizer.json alone gives the tokens of the SentencePiece model that it was made from."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import sentencepiece

from kosmos_eval.errors import DataError
from kosmos_eval.model.tokenizer import JSON_FILE_NAME, MARKUP, RELEASED_FILE_NAME, TAGS, Tokenizer, tokenizer_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

transformers = pytest.importorskip("transformers")
pytest.importorskip("google.protobuf")
clip = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
COMBINING = "\N{COMBINING ACUTE ACCENT}"
ODD = (
    "\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{IDEOGRAPHIC SPACE}\N{LATIN SMALL LIGATURE FI}"
    "\N{FULLWIDTH DIGIT ONE}\N{LATIN SMALL LETTER E WITH ACUTE}\N{CJK UNIFIED IDEOGRAPH-6C34}\N{SLIGHTLY SMILING FACE}"
)
TEXTS = (
    *(
        "",
        " ",
        "  ",
        "\n",
        "a",
        " a",
        "a ",
        "  a  b  ",
        "a\nb",
        "\ta\r\nb",
        SPACE,
        f"a{SPACE}b",
        "x" * 300,
        "word " * 300,
    ),
    *("0123456789", "3.14", "10,000", "don't", "C++ & #5 (ok)?", ODD, f"a{ODD[0]}b{ODD[1]}c", f"e{COMBINING}"),
    *("<phrase>a</phrase>", "a<phrase>b</phrase>c", "a <phrase> b </phrase> c", "<phrase><phrase>", "a  <phrase>  b"),
    *(
        "<grounding> <grounding>",
        "<grounding>\n<object>",
        "<patch_index_0000><patch_index_1023>",
        "<Phrase>",
        "<phrase",
    ),
    *("<<phrase>>", "<patch_index_1024>", "<patch_index_1>", "\N{NO-BREAK SPACE}<phrase>\N{ZERO WIDTH SPACE}</phrase>"),
)


@pytest.fixture(scope="module", params=["nmt_nfkc", "identity"])
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pieces: Callable[[str], bytes]
) -> Path:
    """The SentencePiece model, and in `saved` what transformers writes of it."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / RELEASED_FILE_NAME).write_bytes(pieces(request.param))
    theirs = transformers.XLMRobertaTokenizer.from_pretrained(str(folder))
    transformers.Kosmos2Processor(clip.CLIPImageProcessorPil(), theirs).save_pretrained(folder / "saved")
    return folder


def random_texts(seed: int, count: int, extra: str = "") -> list[str]:
    rng = random.Random(seed)
    alphabet = [*"abcdeXYZ  .,'\n\t019<>_/", *ODD, *extra, *MARKUP, "<patch_index_0044>"]
    return ["".join(rng.choices(alphabet, k=rng.randint(0, 16))) for _ in range(count)]


def test_what_transformers_saves_is_read_as_the_sentencepiece_model_is(folder: Path) -> None:
    assert not (folder / "saved" / RELEASED_FILE_NAME).exists(), "read tokenizer.json: this test is out of date"
    released, saved = Tokenizer.load(folder), Tokenizer.load(folder / "saved")
    assert saved.vocabulary_size == released.vocabulary_size == 300 + 1 + len(TAGS) + 1024
    assert (saved.image_begin, saved.locations) == (released.image_begin, 1024)
    for text in (*TEXTS, *random_texts(1, 1500, COMBINING)):
        ids = released.encode(text)
        assert saved.encode(text) == ids, text
        assert saved.decode(ids) == released.decode(ids), text


def test_both_are_the_tokenizer_of_transformers(folder: Path) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(folder / "saved")
    ours = Tokenizer.load(folder)
    assert len(theirs) == ours.vocabulary_size
    for piece in (*TAGS, "<patch_index_0000>", "<patch_index_1023>"):
        [number] = theirs.convert_tokens_to_ids([piece])
        assert number == (ours.tag(piece) if piece in TAGS else ours.location(int(piece[13:17])))
    if folder.name.startswith("identity"):
        return  # transformers splits at tabs and line ends all the same, which no model says
    pieces = sentencepiece.SentencePieceProcessor(str(folder / RELEASED_FILE_NAME))
    for text in (*TEXTS, *random_texts(2, 500)):
        got, want = ours.encode(text), theirs(text, add_special_tokens=False)["input_ids"]
        if got != want:  # then it is a tie
            scores = [sum(pieces.GetScore(each - 1) for each in ids if 3 < each < 301) for ids in (got, want)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-4), text


@pytest.fixture
def values(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "saved" / JSON_FILE_NAME).read_text(encoding="utf-8"))
    return read


def damaged(values: dict[str, Any], change: Callable[[dict[str, Any]], object], folder: Path) -> None:
    change(values)
    (folder / JSON_FILE_NAME).write_text(json.dumps(values), encoding="utf-8")
    Tokenizer.load(folder)


def as_transformers_4(values: dict[str, Any]) -> None:
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE}
    steps = [each for each in (values["normalizer"], {"type": "Strip", "strip_left": False}, spaces) if each]
    values["normalizer"] = {"type": "Sequence", "normalizers": steps}
    values["pre_tokenizer"] = {"type": "Metaspace", "replacement": SPACE, "add_prefix_space": True}


def test_the_form_that_transformers_4_wrote_is_read_too(folder: Path, values: dict[str, Any], tmp_path: Path) -> None:
    damaged(values, as_transformers_4, tmp_path)
    ours, released = Tokenizer.load(tmp_path), Tokenizer.load(folder)
    assert [ours.encode(text) for text in TEXTS] == [released.encode(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["model"].update(type="BPE"), "expected a Unigram model, got BPE"),
        (lambda d: d["model"].update(byte_fallback=True), "expected a model without byte_fallback"),
        (lambda d: d["model"]["vocab"].pop(1), "expected the first pieces to be <s>, <pad>, </s>, <unk>"),
        (lambda d: d["model"]["vocab"].pop(9), "expected <mask> to have the id 300, got 301"),
        (lambda d: d["added_tokens"][6].update(id=5), "expected <image> to have the id 303, got 5"),
        (lambda d: d["added_tokens"][7].update(content="<img>"), "added tokens of KOSMOS-2 alone, got also '<img>'"),
        (lambda d: d.update(normalizer={"type": "Lowercase"}), "a compiled normaliser, got also Lowercase"),
        (
            lambda d: d.update(normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "b"}),
            "expected spaces alone to be replaced, got None by 'b'",
        ),
        (lambda d: d["pre_tokenizer"]["pretokenizers"].append({"type": "Digits"}), "got also Digits"),
        (lambda d: d["pre_tokenizer"]["pretokenizers"][1].update(prepend_scheme="first"), "begin with a space"),
        (lambda d: d["pre_tokenizer"]["pretokenizers"].pop(), "expected one Metaspace pre-tokenizer, got 1"),
        (lambda d: d.pop("model"), "expected a tokenizer.json with a Unigram model, which cannot be read"),
    ],
)
def test_what_sentencepiece_would_do_otherwise_is_refused(
    values: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        damaged(values, change, tmp_path)
    assert str(tmp_path / JSON_FILE_NAME) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sentencepiece_model_goes_before_its_json_form(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "saved" / JSON_FILE_NAME, tmp_path)
    assert tokenizer_file(tmp_path).name == JSON_FILE_NAME
    Tokenizer.load(tmp_path).save(tmp_path)
    assert tokenizer_file(tmp_path).name == RELEASED_FILE_NAME
    assert Tokenizer.load(tmp_path).encode(TEXTS[-1]) == Tokenizer.load(folder).encode(TEXTS[-1])
    (tmp_path / "tokenizer.model").write_bytes((folder / RELEASED_FILE_NAME).read_bytes())
    assert tokenizer_file(tmp_path).name == "tokenizer.model"
