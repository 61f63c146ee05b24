from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.grounding import GroundingSettings, checked_text, object_text, phrase_text, plain_text
from kosmos_eval.locations import Box
from kosmos_eval.metrics.boxes import boxes_of
from kosmos_eval.model.tokenizer import MARKUP, Tokenizer
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated

if TYPE_CHECKING:
    from kosmos_eval.request import StopReason

SHARED = Path("../shared/samples/kosmos-2-tokenizer")
HALF, ALL = Box(0, 0, 0.5, 0.5), Box(0, 0, 1, 1)


def answered(settings: GroundingSettings, text: str, reason: StopReason = "eos") -> tuple[Any, str]:
    asking = settings.find_boxes(Prompt.of("find it"))
    request = next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Generated(text, (5,), (-0.1,), reason))
    return request, stopped.value.value


def test_boxes_are_written_as_the_model_writes_them_and_read_back() -> None:
    text = object_text([HALF, ALL])
    assert text == (
        "<object><patch_index_0000><patch_index_0528></delimiter_of_multi_objects/>"
        "<patch_index_0000><patch_index_1023></object>"
    )
    assert len(boxes_of(phrase_text("a dog") + text, "a dog")) == 2


def test_boxes_without_area_are_left_out() -> None:
    assert object_text([Box(0.5, 0, 0.5, 1), ALL]) == "<object><patch_index_0000><patch_index_1023></object>"
    assert object_text([Box(0.5, 0, 0.5, 1)]) == ""


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (" a small star", "a small star"),
        ("<phrase> a dog</phrase><object><patch_index_0005><patch_index_0911></object> runs", "a dog runs"),
        ("a dog<object><patch_index_0005>", "a dog"),
        ("<object><patch_index_0005><patch_index_0911></object>", ""),
        ("3 < 4 > 2", "3 < 4 > 2"),
    ],
)
def test_a_text_without_its_markup_is_what_people_would_read(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@pytest.mark.parametrize("mark", [*MARKUP, "<patch_index_0005>", "<patch_index_1023>"])
def test_every_mark_that_a_tokenizer_knows_is_refused_in_a_dataset_s_text(mark: str) -> None:
    with pytest.raises(DataError, match="file: item 3: expected plain text, got the mark"):
        checked_text(f"a dog{mark} runs", "file: item 3")


def test_other_angle_brackets_are_text_and_blanks_are_none() -> None:
    assert checked_text("i <3 <image> dogs", "x") == "i <3 <image> dogs"
    with pytest.raises(DataError, match="expected a text with words"):
        checked_text(" \n", "x")


def test_boxes_are_asked_for_as_by_the_released_command_line() -> None:
    request, text = answered(GroundingSettings(), "<object>")
    assert request == Generate(Prompt.of("find it"), max_new_tokens=500, no_repeat_ngram=3)
    assert text == "<object>"


def test_the_end_that_stops_an_answer_is_part_of_it() -> None:
    settings = GroundingSettings(stop_at_object=True)
    request, text = answered(settings, "<object><patch_index_0005><patch_index_0911>", "stop")
    assert request.stop == ("</object>",)
    assert text.endswith("<patch_index_0911></object>")
    assert answered(settings, "nothing", "eos")[1] == "nothing"


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="max_new_tokens to be at least 1"):
        GroundingSettings(max_new_tokens=0)
    with pytest.raises(UsageError, match="no_repeat_ngram at least 0"):
        GroundingSettings(no_repeat_ngram=-1)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the released tokenizer is not here")
@pytest.mark.parametrize(
    ("prompt", "ids"),
    [
        ("<grounding> <phrase>A young child</phrase>", [64012, 64007, 95, 478, 572, 64008]),
        ("<grounding>A man in  <phrase>a red coat</phrase>", [64012, 95, 242, 12, 64007, 10, 958, 5322, 64008]),
        (f"<phrase> It </phrase>{object_text([HALF])} is", [64007, 67, 64008, 64009, 64013, 64541, 64010, 17]),
    ],
)
def test_spaces_around_marks_are_nothing_to_the_released_tokenizer(prompt: str, ids: list[int]) -> None:
    assert Tokenizer.load(SHARED).encode(prompt) == ids
