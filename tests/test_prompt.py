"""A prompt is text and images in reading order; an image is its pixels, opened when they are needed."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image, Prompt

if TYPE_CHECKING:
    from pathlib import Path


def picture(shade: int = 0, size: tuple[int, int] = (5, 3)) -> PIL.Image.Image:
    made = PIL.Image.new("RGB", size, (shade, 2, 3))
    made.putpixel((1, 0), (250, 128, 7))
    return made


def encoded(of: PIL.Image.Image, kind: str = "PNG") -> bytes:
    held = io.BytesIO()
    of.save(held, kind)
    return held.getvalue()


def saved(path: Path, of: PIL.Image.Image) -> Image:
    of.save(path)
    return Image.from_file(path)


def test_equal_pixels_are_equal_images_whatever_file_and_format_they_came_from(tmp_path: Path) -> None:
    images = [
        saved(tmp_path / "a.png", picture()),
        saved(tmp_path / "b.bmp", picture()),
        saved(tmp_path / "c.png", picture().convert("RGBA")),
        Image.from_bytes(encoded(picture(), "TIFF"), "d"),
        Image(picture, "e"),
    ]
    assert len({image.digest for image in images}) == 1
    assert len(set(images)) == 1
    assert all(image == images[0] for image in images)


def test_sixteen_bit_greys_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    greys = [0, 255, 256, 30_000, 65_535]
    deep = PIL.Image.new("I;16", (len(greys), 1))
    for place, grey in enumerate(greys):
        deep.putpixel((place, 0), grey)
    read = saved(tmp_path / "deep.png", deep).load()
    assert [read.getpixel((place, 0)) for place in range(len(greys))] == [(grey // 256,) * 3 for grey in greys]


def test_a_palette_with_transparency_is_read_in_its_colours_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    picture().convert("P").save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert saved(tmp_path / "b.png", picture().convert("P").convert("RGB")) == Image.from_file(tmp_path / "a.png")
    assert not list(recwarn)


@pytest.mark.parametrize(("content", "reason"), [(b"<html>", "no kind of picture"), (None, "Is a directory")])
def test_what_is_no_picture_is_named_once_with_what_to_do(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "a.png"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"^image {path}: cannot be read \([^/]*{reason}[^/]*\); unpack or download it ag"
    ):
        Image.from_file(path).load()


def test_one_pixel_or_the_shape_alone_makes_another_image() -> None:
    flat = PIL.Image.new("RGB", (6, 2))
    images = [Image(picture, "a"), Image(lambda: picture(1), "b"), Image(lambda: picture(size=(3, 5)), "c")]
    reshaped = Image(lambda: flat, "wide"), Image(lambda: PIL.Image.new("RGB", (2, 6)), "tall")
    assert len({*images, *reshaped}) == 5


def test_an_image_differs_from_what_is_no_image() -> None:
    assert Image(picture, "a") != "a"


def test_no_file_is_touched_before_the_image_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "later.png"
    image = Image.from_file(path)
    prompt = Prompt.of("see", image, "?")
    assert prompt.text() == "see<image>?"
    assert repr(image) == f"Image({str(path)!r})"
    picture().save(path)
    assert image.load().size == (5, 3)


def test_pixels_are_not_kept_and_the_digest_is_taken_once() -> None:
    opened = []

    def count() -> PIL.Image.Image:
        opened.append(1)
        return picture()

    image = Image(count, "counted")
    assert image.digest == image.digest
    assert len(opened) == 1
    image.load()
    image.load()
    assert len(opened) == 3


def test_a_picture_that_was_loaded_is_not_opened_again_for_its_digest() -> None:
    opened = []

    def count() -> PIL.Image.Image:
        opened.append(1)
        return picture()

    image = Image(count, "counted")
    assert (image.known_digest, opened) == (None, [])
    image.load()
    assert image.known_digest == image.digest == Image(picture, "other").digest
    assert len(opened) == 1


def test_a_picture_is_loaded_as_rgb_whatever_its_mode() -> None:
    for mode in ("L", "P", "RGBA", "CMYK", "1", "LA"):
        loaded = Image.from_bytes(encoded(picture().convert(mode), "TIFF"), mode).load()
        assert loaded.mode == "RGB"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image .*gone\.png: no such file"):
        Image.from_file(tmp_path / "gone.png").load()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
def test_a_file_cut_short_anywhere_is_named(kind: str) -> None:
    whole = encoded(picture(size=(40, 30)), kind)
    for end in {0, 1, 7, 20, len(whole) // 3, len(whole) // 2}:
        with pytest.raises(DataError, match=r"image item 17: cannot be read \(.+\)"):
            Image.from_bytes(whole[:end], "item 17").load()


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>", encoding="utf-8")
    for path in (tmp_path / "page.png", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            _ = Image.from_file(path).digest


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="image bomb: cannot be read"):
        Image.from_bytes(encoded(picture(size=(40, 30))), "bomb").load()


def test_an_image_of_a_file_survives_pickling(tmp_path: Path) -> None:
    image = saved(tmp_path / "a.png", picture())
    assert pickle.loads(pickle.dumps(image)) == image


def test_neighbouring_texts_are_one_and_empty_ones_are_none() -> None:
    image = Image(picture, "a")
    prompt = Prompt(("", "a", "", "b", image, "", image, "c", ""))
    assert prompt.parts == ("ab", image, image, "c")
    assert prompt.images == (image, image)


@given(st.lists(st.text(max_size=3), max_size=6), st.integers(0, 6))
def test_equal_content_is_an_equal_prompt_however_it_was_put_together(texts: list[str], cut: int) -> None:
    whole = Prompt(tuple(texts))
    assert Prompt.of(*texts[:cut]) + Prompt.of(*texts[cut:]) == whole
    assert Prompt.of(Prompt.of(*texts[:cut]), *texts[cut:]) == whole
    assert whole.text() == "".join(texts)
    assert hash(Prompt.of("".join(texts))) == hash(whole)


def test_a_prompt_with_another_image_is_another_prompt() -> None:
    first, second = Image(picture, "a"), Image(lambda: picture(9), "a")
    assert Prompt.of("x", first) != Prompt.of("x", second)
    assert Prompt.of("x", first) == Prompt.of("x", Image(picture, "other name"))


def test_marks_tell_images_apart_only_when_asked_to() -> None:
    image = Image(picture, "a")
    prompt = Prompt.of("Question:\n", image, " answer")
    assert prompt.text() == "Question:\n<image> answer"
    assert prompt.text(digests=True) == f"Question:\n<image:{image.digest[:12]}> answer"


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["list"]])
def test_a_prompt_of_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="expected a prompt to be made of texts and images, got"):
        Prompt(("x", wrong))  # type: ignore[arg-type]  # what a task's author gets wrong
