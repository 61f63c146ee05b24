from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from kosmos_eval.model.preprocess import pixels_of


def test_black_and_white_become_clips_extremes() -> None:
    black, white = (pixels_of(PIL.Image.new("RGB", (3, 5), colour), 4) for colour in ("black", "white"))
    assert black.shape == (3, 4, 4)
    assert black[:, 0, 0].tolist() == pytest.approx(
        [-0.48145466 / 0.26862954, -0.4578275 / 0.26130258, -0.40821073 / 0.27577711]
    )
    assert white[:, 0, 0].tolist() == pytest.approx(
        [(1 - 0.48145466) / 0.26862954, (1 - 0.4578275) / 0.26130258, (1 - 0.40821073) / 0.27577711]
    )


def test_channels_come_first_in_the_order_red_green_blue() -> None:
    red = pixels_of(PIL.Image.new("RGB", (4, 4), (255, 0, 0)), 4)
    assert (red[0] > 0).all()
    assert (red[1:] < 0).all()


def test_a_picture_is_squashed_whole_and_not_cropped() -> None:
    picture = PIL.Image.new("RGB", (40, 10), "black")
    picture.paste("white", (36, 0, 40, 10))
    columns = pixels_of(picture, 10)[0, 5]
    assert columns[-1] > 1
    assert columns[0] < -1


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    picture = PIL.Image.effect_noise((8, 8), 60).convert("RGB")
    values = pixels_of(picture, 8)[1] * 0.26130258 + 0.4578275
    assert torch.allclose(values * 255, torch.from_numpy(np.asarray(picture)[..., 1].copy()).float(), atol=1e-3)


def test_other_modes_are_read_as_rgb() -> None:
    assert torch.equal(
        pixels_of(PIL.Image.new("L", (4, 4), 128), 4), pixels_of(PIL.Image.new("RGB", (4, 4), (128,) * 3), 4)
    )
