"""lm-eval's arguments become requests: pictures in their places, one request a context, settings checked."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.lm_eval_tasks.requests import Contexts, generate_request, rolling_request, score_requests
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Score, WholeText

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = WholeText()


def picture(shade: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (2, 2), (shade, 0, 0))


def image(shade: int) -> Image:
    return Image(lambda: picture(shade), f"shade {shade}")


def test_a_context_without_pictures_is_text_and_its_marks_are_too() -> None:
    assert Contexts().prompt("see <image> here") == Prompt.of("see <image> here")
    assert Contexts().prompt("see here", {"visual": None}) == Prompt.of("see here")


@pytest.mark.parametrize("nested", [False, True])
def test_pictures_stand_where_their_marks_are_in_order(*, nested: bool) -> None:
    pictures = [picture(1), picture(2)]
    found = Contexts().prompt("<image> and <image>?", {"visual": [pictures] if nested else pictures})
    assert found == Prompt.of(image(1), " and ", image(2), "?")
    assert found == Contexts().prompt("<image> and <image>?", {"visual": tuple(pictures)})


def test_a_picture_may_be_itself_or_bytes_or_a_path(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    picture(5).save(buffer, "png")
    encoded = buffer.getvalue()
    path = tmp_path / "picture.png"
    path.write_bytes(encoded)
    url = f"data:image/png;base64,{base64.b64encode(encoded).decode()}"
    forms: list[Any] = [picture(5), encoded, str(path), path, url]
    forms += [{"bytes": encoded, "path": None}, {"bytes": None, "path": str(path)}]
    for form in forms:
        assert Contexts().prompt("<image>", {"visual": form}) == Prompt.of(image(5)), form
        assert Contexts().prompt("<image>", {"visual": form}).images[0].load().getpixel((0, 0)) == (5, 0, 0)


def test_a_picture_that_is_handed_along_again_is_opened_once() -> None:
    contexts, shown = Contexts(), {"visual": [picture(1)]}
    first, second = (contexts.prompt(text, shown).images[0] for text in ("<image> a", "<image> b"))
    assert first is second
    assert contexts.prompt("<image>", {"visual": [picture(1)]}).images[0] is not first


@pytest.mark.parametrize(
    ("context", "multimodal", "message"),
    [
        (
            "<image> <image>",
            {"visual": [picture(1)]},
            "expected a picture for each <image> of the context, got 1 for 2",
        ),
        ("no mark", {"visual": picture(1)}, "got 1 for 0 in 'no mark'"),
        ("<image>", {"visual": []}, "got 0 for 1"),
        ("<image>", {"visual": [7]}, "expected picture 1 to be a picture, its bytes or its path, got 7"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(context: str, multimodal: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Contexts().prompt(context, multimodal)


def test_sounds_are_refused() -> None:
    with pytest.raises(UsageError, match="expected lm-eval to hand along pictures alone, got audio"):
        Contexts().prompt("<image>", {"visual": [picture(1)], "audio": [b""]})


def test_a_broken_picture_says_which_when_it_is_opened() -> None:
    [broken] = Contexts().prompt("<image>", {"visual": ["data:image/png;base64,?"]}).images
    with pytest.raises(DataError, match="image picture 1: cannot be read"):
        broken.load()


def test_continuations_of_one_context_are_one_request_that_knows_where_they_belong() -> None:
    one, other = Prompt.of("one", image(1)), Prompt.of("other")
    same = Prompt.of("one", image(1))
    asked = score_requests([(one, " a"), (other, " a"), (same, " b"), (one, " a")], WHOLE)
    assert [each.request for each in asked] == [
        Score(one, (Continuation(" a"), Continuation(" b"), Continuation(" a")), WHOLE),
        Score(other, (Continuation(" a"),), WHOLE),
    ]
    assert [list(each.numbers) for each in asked] == [[0, 2, 3], [1]]


def test_a_blank_continuation_is_refused() -> None:
    with pytest.raises(DataError, match="expected a continuation with characters behind 'one', got ' '"):
        score_requests([(Prompt.of("one"), " ")], WHOLE)


def test_a_text_is_scored_in_windows_unless_it_is_blank() -> None:
    found = rolling_request("some text", WholeText(begin=False, most=5))
    assert found == Score(Prompt(), (Continuation("some text"),), WholeText(begin=False, most=5, rolling=True))
    assert rolling_request(" \n", WHOLE) is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Generate(Prompt.of("q"), 256, whole=WHOLE)),
        ({"until": "\n", "do_sample": False, "temperature": 0.0}, Generate(Prompt.of("q"), 256, ("\n",), whole=WHOLE)),
        ({"until": ["a", "", "b", "a"], "max_gen_toks": 5}, Generate(Prompt.of("q"), 5, ("a", "b"), whole=WHOLE)),
        ({"max_new_tokens": 7, "max_gen_toks": 3}, Generate(Prompt.of("q"), 3, whole=WHOLE)),
        ({"max_tokens": 7, "top_p": 0.9, "top_k": 5}, Generate(Prompt.of("q"), 7, whole=WHOLE)),
        ({"temperature": 0.7, "do_sample": False}, Generate(Prompt.of("q"), 256, whole=WHOLE)),
        (
            {"num_beams": 3, "length_penalty": 0, "no_repeat_ngram_size": 2},
            Generate(Prompt.of("q"), 256, num_beams=3, length_penalty=0.0, no_repeat_ngram=2, whole=WHOLE),
        ),
    ],
)
def test_settings_become_those_of_the_request(settings: dict[str, Any], expected: Generate) -> None:
    assert generate_request(Prompt.of("q"), settings, WHOLE) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": True, "temperature": 1.0}, "expected do_sample=False and temperature=0"),
        ({"temperature": 0.7}, "expected do_sample=False and temperature=0"),
        ({"until": 3}, "expected until of generation_kwargs to be a text or a list of texts, got 3"),
        ({"until": [3]}, "to be a text or a list of texts"),
        ({"max_gen_toks": 0}, "expected max_gen_toks of generation_kwargs to be a whole number from 1, got 0"),
        ({"max_tokens": 2.5}, "expected max_tokens of generation_kwargs to be a whole number from 1, got 2.5"),
        ({"num_beams": "2"}, "expected num_beams of generation_kwargs to be a number, got '2'"),
    ],
)
def test_settings_that_cannot_be_kept_to_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generate_request(Prompt.of("q"), settings, WHOLE)


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        UnknownNameError, match="no setting of generation_kwargs named 'max_gen_tok'; did you mean 'max_gen_toks'"
    ):
        generate_request(Prompt.of("q"), {"max_gen_tok": 5}, WHOLE)
