"""The tokenizer's numbering and its round trips."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.tokenizer import MARKUP, RELEASED_FILE_NAME, TAGS, Tokenizer
from kosmos_eval.model.training.vocabulary import IDS, sentences, train_tokenizer

RELEASED = Path(__file__).parents[3] / "shared" / "samples" / "kosmos-2-tokenizer"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The embedded models' pieces without markup."""
    return Tokenizer(train_tokenizer().save(tmp_path_factory.mktemp("pieces")).read_bytes())


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


def test_training_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = train_tokenizer().save(tmp_path).read_bytes()
    train_tokenizer.cache_clear()
    assert train_tokenizer().save(tmp_path).read_bytes() == first
    assert len(first) < 40_000


def test_the_embedded_models_read_and_write_markup() -> None:
    tokenizer = train_tokenizer()
    assert tokenizer.locations == 1024
    text = "<grounding> An image of<phrase> a star</phrase><object><patch_index_0001><patch_index_0100></object>"
    assert tokenizer.decode(tokenizer.encode(text)) == text


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


@pytest.fixture(scope="module")
def marking(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The small pieces under KOSMOS-2's numbering."""
    folder = tmp_path_factory.mktemp("released")
    tokenizer.save(folder).rename(folder / RELEASED_FILE_NAME)
    return Tokenizer.load(folder)


def test_the_files_name_decides_whether_there_are_locations(tokenizer: Tokenizer, marking: Tokenizer) -> None:
    assert (tokenizer.locations, marking.locations) == (0, 1024)
    assert marking.vocabulary_size == IDS + 1024
    assert (marking.location(0), marking.location(1023)) == (IDS, IDS + 1023)
    with pytest.raises(ValueError, match="below 1024"):
        marking.location(1024)
    with pytest.raises(ValueError, match="below 0"):
        tokenizer.location(0)


GROUNDED = (
    "<grounding> a picture of<phrase> a red circle</phrase><object><patch_index_0044><patch_index_0863>"
    "</delimiter_of_multi_objects/><patch_index_0005><patch_index_1023></object> and more"
)


def test_markup_is_tokens_and_what_stands_between_is_tokenised_apart(marking: Tokenizer) -> None:
    tags = {name: marking.tag(name) for name in MARKUP}
    assert marking.encode(GROUNDED) == [
        tags["<grounding>"],
        *marking.encode("a picture of"),
        tags["<phrase>"],
        *marking.encode("a red circle"),
        tags["</phrase>"],
        tags["<object>"],
        marking.location(44),
        marking.location(863),
        tags["</delimiter_of_multi_objects/>"],
        marking.location(5),
        marking.location(1023),
        tags["</object>"],
        *marking.encode("and more"),
    ]


def test_markup_is_written_out_again(marking: Tokenizer) -> None:
    assert marking.decode([0, *marking.encode(GROUNDED), marking.image_begin, 2, 1]) == GROUNDED


def test_plain_text_is_the_same_with_and_without_markup(tokenizer: Tokenizer, marking: Tokenizer) -> None:
    for line in list(sentences())[:200]:
        assert marking.encode(line) == tokenizer.encode(line)
        assert marking.decode(marking.encode(line)) == tokenizer.decode(tokenizer.encode(line))


@pytest.mark.parametrize(
    "text", ["<s>", "</s>", "<pad>", "<image>", "</image>", "<mask>", "</doc>", "<patch_index_1024>", "<patch_index_7>"]
)
def test_no_text_becomes_an_image_an_end_or_a_place_off_the_grid(marking: Tokenizer, text: str) -> None:
    assert all(marking.unk < each < IDS - len(TAGS) for each in marking.encode(text))


def test_a_tokenizer_with_markup_is_saved_under_the_name_that_says_so(marking: Tokenizer, tmp_path: Path) -> None:
    assert marking.save(tmp_path).name == RELEASED_FILE_NAME
    assert Tokenizer.load(tmp_path).encode(GROUNDED) == marking.encode(GROUNDED)


def test_a_dictionary_in_another_order_is_refused(marking: Tokenizer, tmp_path: Path) -> None:
    marking.save(tmp_path)
    (tmp_path / "dict.txt").write_text("wrong 1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"dict\.txt: expected the \d+ pieces .* got 'wrong' for"):
        Tokenizer.load(tmp_path)


@pytest.fixture(scope="module")
def released() -> Tokenizer:
    if not (RELEASED / RELEASED_FILE_NAME).exists():
        pytest.skip("the released SentencePiece model is not here")
    return Tokenizer.load(RELEASED)


def test_the_released_files_give_the_released_vocabulary(released: Tokenizer) -> None:
    assert released.vocabulary_size == 65037
    assert [released.tag(name) for name in MARKUP] == list(range(64007, 64013))
    assert (released.location(0), released.location(1023)) == (64013, 65036)


def test_the_released_tokenizer_is_the_one_of_transformers(released: Tokenizer) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("google.protobuf")
    theirs = transformers.XLMRobertaTokenizer.from_pretrained(str(RELEASED))
    clip = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = transformers.Kosmos2Processor(clip.CLIPImageProcessorPil(), theirs)
    assert len(theirs) == released.vocabulary_size
    texts = [*list(sentences())[:100], "caf\u00e9, \u6c34 and \N{SNOWMAN}", "It's 3.50 (or 4)?", GROUNDED]
    texts += ["<grounding>An image of", "<grounding><phrase>the left dog</phrase>", "<phrase> It </phrase> is"]
    for text in texts:
        assert released.encode(text) == processor.tokenizer(text, add_special_tokens=False)["input_ids"], text


def test_new_words_are_pieces_and_nothing_else_changes(marking: Tokenizer, tmp_path: Path) -> None:
    grown = marking.with_words(["bezob", "rivit"])
    grown.save(tmp_path)
    grown = Tokenizer.load(tmp_path)
    assert (grown.first_tag, grown.vocabulary_size) == (marking.first_tag + 2, marking.vocabulary_size + 2)
    for text in ("bezob", "a bezob,", "The color of rivit is?", "a bezob and a rivit"):
        assert grown.decode(grown.encode(text)) == text
        pieces = [each for each in grown.encode(text) if each >= marking.first_tag]
        assert len(pieces) == text.count("bezob") + text.count("rivit")
    for text in (GROUNDED, "A large red star. Question: 12?", "xbezob"):
        moved = [each if each < marking.first_tag else each + 2 for each in marking.encode(text)]
        assert grown.encode(text) == moved
        assert grown.decode(moved) == marking.decode(marking.encode(text))


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (["bezob", "red"], "got the piece 'red'"),
        (["bezob", "bezob"], "got 'bezob' twice"),
        (["two words"], "got 'two words'"),
        ([""], "got ''"),
    ],
)
def test_words_that_are_none_or_known_are_refused(marking: Tokenizer, words: list[str], got: str) -> None:
    with pytest.raises(UsageError, match=f"expected new words of letters, .*{got}"):
        marking.with_words(words)
