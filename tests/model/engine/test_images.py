"""Images are encoded once each, in any order and company, to the same bits; in bounded memory; by workers that end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.config import DecoderConfig, KosmosConfig
from kosmos_eval.model.engine.images import ImageStore
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.model.specs import embedded_folder
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    import PIL.Image
    from torch import Tensor

PICTURES = 12
ONE = 4 * 32 * 4
"""Bytes of one image's embeddings under the small models: 4 of 32 numbers in float32."""

calls = st.lists(st.lists(st.integers(0, PICTURES - 1), max_size=14), min_size=1, max_size=4)
some = settings(max_examples=15, derandomize=True, deadline=None)


class Setting(NamedTuple):
    """A model, the pixels' bits that it gives each picture, and a way to new images of the pictures."""

    model: Kosmos
    alone: list[Tensor]
    make: Callable[[int], Image]

    def store(self, capacity: int = 1 << 20, workers: int = 2) -> ImageStore:
        return ImageStore(self.model, "cpu", torch.float32, capacity, workers)


@pytest.fixture(scope="module", params=["resampler", "x-attention"])
def setting(
    request: pytest.FixtureRequest, make_model: Callable[..., Kosmos], make_picture: Callable[[int], Image]
) -> Setting:
    model = make_model(_Kind("xpos", request.param))
    alone = [ImageStore(model, "cpu", torch.float32).features([make_picture(each)])[0] for each in range(PICTURES)]
    return Setting(model, alone, make_picture)


class _Kind(NamedTuple):
    positions: str
    connector: str


def counted(image: Image, opened: list[str], delay: float = 0) -> Image:
    def load() -> PIL.Image.Image:
        time.sleep(delay)
        opened.append(image.name)
        return image.load()

    return Image(load, image.name)


def broken(name: str) -> Image:
    return Image.from_bytes(b"no picture", name)


def settled(opened: list[str], count: int) -> list[str]:
    """What has been opened when it was `count` pictures, and none more in the time that follows."""
    end = time.monotonic() + 20
    while len(opened) < count and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)
    return sorted(opened)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the passes of every model's tower."""
    sizes: list[int] = []
    encode = Kosmos.image_embeddings

    def counting(model: Kosmos, pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return encode(model, pixels)

    monkeypatch.setattr(Kosmos, "image_embeddings", counting)
    return sizes


@some
@given(streams=calls, capacity=st.sampled_from([0, 3 * ONE, 1 << 20]), seed=st.integers(0, 99))
def test_bits_do_not_depend_on_company_order_expectations_or_what_was_kept(
    setting: Setting, streams: list[list[int]], capacity: int, seed: int
) -> None:
    rng, store = random.Random(seed), setting.store(capacity)
    for numbers in streams:
        images = [setting.make(number) for number in numbers]
        if rng.random() < 0.5:
            store.expect([*rng.sample(images, rng.randint(0, len(images))), setting.make(rng.randrange(PICTURES))])
        if rng.random() < 0.3:
            store.forget(rng.sample(images, rng.randint(0, len(images))))
        found = store.features(images)
        assert found.shape == (len(images), 4, 32)
        for number, row in zip(numbers, found, strict=True):
            assert torch.equal(row, setting.alone[number])


def test_embeddings_are_those_of_the_model(setting: Setting) -> None:
    pixels = torch.stack([pixels_of(setting.make(number).load(), 16) for number in range(PICTURES)])
    with torch.inference_mode():
        expected = setting.model.image_embeddings(pixels)
    assert torch.allclose(torch.stack(setting.alone), expected, atol=1e-5)


_BITS_OF_A_TOWER = """
import random, sys
from pathlib import Path
import PIL.Image, torch
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.engine.images import ImageStore
from kosmos_eval.prompt import Image

def picture(number):
    pixels = random.Random(number).randbytes(3 * 64 * 64)
    return Image(lambda: PIL.Image.frombytes("RGB", (64, 64), pixels), str(number))

model, _ = load_kosmos(Path(sys.argv[1]), "cpu", torch.float32, pickles=False)
torch.set_num_threads(1)
in_order = ImageStore(model, "cpu", torch.float32).features([picture(number) for number in range(9)])
rng = random.Random(1)
for threads in (1, 2, 2):
    torch.set_num_threads(threads)
    numbers = rng.sample(range(9), rng.randint(3, 9))
    store = ImageStore(model, "cpu", torch.float32)
    print(store.rows, torch.equal(store.features([picture(number) for number in numbers]), in_order[numbers]))
"""


def test_the_embedded_models_bits_depend_neither_on_company_nor_on_the_number_of_threads() -> None:
    # MKL must be told to be reproducible before torch is imported, as a run's processes are.
    done = subprocess.run(
        [sys.executable, "-c", _BITS_OF_A_TOWER, str(embedded_folder("kosmos-tiny"))],
        env=os.environ | {"MKL_CBWR": "AVX2,STRICT", "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "8 True\n" * 3


def test_an_image_is_encoded_once_by_its_pixels_in_passes_of_one_size(setting: Setting, passes: list[int]) -> None:
    store = setting.store()
    numbers = [0, 1, 0, 2, 1, *range(PICTURES)]
    store.features([setting.make(number) for number in numbers])
    assert passes == [store.rows] * -(-PICTURES // store.rows)
    passes.clear()
    store.features([setting.make(number) for number in reversed(numbers)])
    assert passes == []


def test_a_picture_is_opened_once_if_it_is_expected_and_not_at_all_if_it_is_kept(setting: Setting) -> None:
    opened: list[str] = []
    store = setting.store()
    images = [counted(setting.make(number), opened) for number in range(PICTURES)]
    store.expect(images)
    digests = [store.digest(image) for image in images]
    store.features(images)
    assert sorted(opened) == sorted(image.name for image in images)
    assert digests == [setting.make(number).digest for number in range(PICTURES)]
    store.expect(images)
    store.features(images)
    assert len(opened) == PICTURES


def test_workers_read_ahead_of_the_model_without_being_told_to(setting: Setting) -> None:
    names: set[str] = set()

    def load(number: int) -> PIL.Image.Image:
        names.add(threading.current_thread().name)
        return setting.make(number).load()

    store = setting.store()
    store.features([Image(partial(load, number), str(number)) for number in range(PICTURES)])
    assert all(name.startswith("images") for name in names)


def test_pictures_in_flight_are_bounded_and_the_rest_follow_as_they_are_taken(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    store = setting.store()
    monkeypatch.setattr(store, "ahead", 3)
    images = [counted(setting.make(number), opened) for number in range(PICTURES)]
    names = [(image.digest, image.name)[1] for image in images]
    opened.clear()
    store.expect(images)
    assert settled(opened, 3) == sorted(names[:3])
    store.features(images[:5])
    assert settled(opened, 8) == sorted(names[:8])


def test_more_pictures_than_may_wait_are_all_opened_by_workers_when_their_digests_are_asked_for(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def load(number: int) -> PIL.Image.Image:
        names.append(threading.current_thread().name)
        return setting.make(number).load()

    store = setting.store()
    monkeypatch.setattr(store, "ahead", 3)
    images = [Image(partial(load, number), str(number)) for number in range(PICTURES)]
    store.expect(images)
    assert [store.digest(image) for image in images] == [setting.make(number).digest for number in range(PICTURES)]
    assert len(names) == PICTURES
    assert all(map(torch.equal, store.features(images), setting.alone))
    assert all(name.startswith("images") for name in names)


def test_one_picture_under_many_names_does_not_keep_others_from_being_expected(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    store = setting.store(capacity=0)
    monkeypatch.setattr(store, "ahead", 3)
    same = [setting.make(0) for _ in range(3)]
    store.expect(same)
    for image in same:
        store.digest(image)
    store.features(same[:1])
    store.expect([counted(setting.make(1), opened)])
    assert settled(opened, 1) == ["picture 1"]


def test_what_is_not_yet_wanted_does_not_keep_what_is_from_being_read_ahead(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = setting.store()
    monkeypatch.setattr(store, "ahead", 2)
    later, now = ([setting.make(number) for number in part] for part in (range(6), range(6, PICTURES)))
    store.expect(later)
    found = store.features(now)
    assert all(map(torch.equal, found, setting.alone[6:]))
    assert all(map(torch.equal, store.features(later), setting.alone[:6]))


def test_kept_embeddings_stay_within_capacity_and_the_longest_unused_go_first(
    setting: Setting, passes: list[int]
) -> None:
    store = setting.store(3 * ONE + ONE // 2)
    for number in range(3):
        store.features([setting.make(number)])
    assert store.kept_bytes == 3 * ONE
    store.features([setting.make(0)])
    store.features([setting.make(3)])
    assert store.kept_bytes == 3 * ONE
    passes.clear()
    for number in (0, 2, 3):
        store.features([setting.make(number)])
    assert passes == []
    store.features([setting.make(1)])
    assert len(passes) == 1


def test_nothing_is_kept_where_nothing_fits(setting: Setting) -> None:
    store = setting.store(ONE - 1)
    store.features([setting.make(number) for number in range(PICTURES)])
    assert store.kept_bytes == 0


def test_the_first_unreadable_picture_in_order_is_named_and_the_store_goes_on(setting: Setting) -> None:
    store = setting.store()
    images = [*map(setting.make, range(5)), broken("item 5"), setting.make(6), broken("item 7")]
    store.expect(reversed(images))
    for _ in range(2):
        with pytest.raises(DataError, match="image item 5: cannot be read"):
            store.features(images)
    with pytest.raises(DataError, match="image item 7: cannot be read"):
        store.digest(images[7])
    store.forget(images)
    assert torch.equal(store.features([images[6]])[0], setting.alone[6])


def test_a_picture_expected_in_vain_is_no_error(setting: Setting) -> None:
    store = setting.store()
    store.expect([broken("never asked for")])
    assert torch.equal(store.features([setting.make(2)])[0], setting.alone[2])


def test_a_decoder_alone_has_no_images_and_refuses_one(make_picture: Callable[[int], Image]) -> None:
    decoder = DecoderConfig(vocabulary=64, width=32, layers=1, heads=4, hidden=64, positions="xpos")
    store = ImageStore(Kosmos.initialised(KosmosConfig(None, None, decoder), 0), "cpu", torch.float32)
    assert store.features([]).shape == (0, 0, 32)
    store.expect([make_picture(0)])
    with pytest.raises(UsageError, match="no vision tower"):
        store.features([make_picture(0)])


def test_no_images_have_no_embeddings(setting: Setting) -> None:
    assert setting.store().features([]).shape == (0, 4, 32)


def test_no_thread_outlives_a_store_and_none_is_started_before_a_picture_is_read(setting: Setting) -> None:
    before = set(threading.enumerate())
    store, opened = setting.store(), list[str]()
    assert set(threading.enumerate()) == before
    store.expect([counted(setting.make(number), opened, delay=0.02) for number in range(PICTURES)])
    started = set(threading.enumerate()) - before
    assert 1 <= len(started) <= 2
    del store
    for thread in started:
        thread.join(5)
        assert not thread.is_alive()
    assert len(opened) < PICTURES
