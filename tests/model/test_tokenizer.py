"""The tokenizer's numbering and its round trips."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.model.tokenizer import TAGS, Tokenizer
from kosmos_eval.model.training.vocabulary import IDS, sentences, train_tokenizer

RELEASED = Path(__file__).parents[3] / "shared" / "samples" / "kosmos-2-tokenizer"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer()


def test_special_ids_are_those_of_kosmos(tokenizer: Tokenizer) -> None:
    assert (tokenizer.bos, tokenizer.pad, tokenizer.eos, tokenizer.unk) == (0, 1, 2, 3)
    assert tokenizer.vocabulary_size == IDS
    assert tokenizer.image_begin == IDS - len(TAGS) + 2
    assert tokenizer.image_end == tokenizer.image_begin + 1


@pytest.mark.parametrize(
    "text",
    [
        "Question: How many red things are there? Answer: 12",
        "a small green triangle in the top left and a large pink cross on the right",
        "Here are eight images:",
        "café, 水 and \N{SNOWMAN}",
        "<image> </image> <s> is text like any other",
        "An ImageNet name: Staffordshire bullterrier",
    ],
)
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk not in ids


@pytest.mark.parametrize("text", ["<s>", "</s>", "<pad>", "<image>", "</image>", "<grounding>"])
def test_text_never_becomes_a_special_token(tokenizer: Tokenizer, text: str) -> None:
    first_tag = IDS - len(TAGS)
    assert all(tokenizer.unk < each < first_tag for each in tokenizer.encode(text))


def test_special_tokens_are_not_decoded(tokenizer: Tokenizer) -> None:
    ids = [0, tokenizer.image_begin, tokenizer.image_end, *tokenizer.encode("two red stars"), 2, 1, 3]
    assert tokenizer.decode(ids) == "two red stars"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("word", ["yes", "Yes", "No", "red", "purple", "circle", "diamond", "left", "0", "2", "9"])
def test_a_frequent_word_is_one_piece(tokenizer: Tokenizer, word: str) -> None:
    assert len(tokenizer.encode(word)) == 1


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("2024")[1:] == [tokenizer.encode(f"0{digit}")[1] for digit in "024"]


def test_an_answer_is_the_same_tokens_in_its_own_segment(tokenizer: Tokenizer) -> None:
    for line in list(sentences())[:500]:
        if " Answer: " in line:
            prompt, answer = line.split(" Answer: ")
            assert tokenizer.encode(line) == tokenizer.encode(f"{prompt} Answer:") + tokenizer.encode(answer)


def test_training_it_again_gives_the_same_bytes(tokenizer: Tokenizer, tmp_path: Path) -> None:
    first = tokenizer.save(tmp_path).read_bytes()
    assert train_tokenizer().save(tmp_path).read_bytes() == first
    assert len(first) < 40_000


def test_a_saved_tokenizer_is_loaded_again(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    text = "What shape is the large red thing?"
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.vocabulary_size == tokenizer.vocabulary_size


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.model: cannot be read"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(DataError, match=r"tokenizer\.model: expected a SentencePiece model"):
        Tokenizer.load(tmp_path)


def test_the_released_model_gets_the_released_ids() -> None:
    path = next(iter(RELEASED.glob("*.model")), None)
    if path is None:
        pytest.skip("the released SentencePiece model is not here")
    tokenizer = Tokenizer(path.read_bytes())
    assert tokenizer.tag("<mask>") == 64001
    assert (tokenizer.image_begin, tokenizer.image_end) == (64003, 64004)
    assert tokenizer.tag("<grounding>") == 64012
    assert tokenizer.vocabulary_size == 64013
