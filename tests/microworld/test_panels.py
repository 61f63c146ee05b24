"""The drawing of panels."""

from __future__ import annotations

from itertools import combinations

import pytest
from PIL import ImageChops

from kosmos_eval.microworld.matrices import TYPES, Panel, make_matrix
from kosmos_eval.microworld.panels import GREYS, draw_panel, fingerprint
from kosmos_eval.microworld.scene import SIDE

FINGERPRINT = "97c34bc31d6831e5b9ab95cd13e22e8bc070af0a2310fd538ba45cd7f6f449ba"  # the same under Pillow 10.4 and 13.0


def test_a_panel_is_square_rgb_and_always_the_same() -> None:
    panel = Panel(9, 0b101, 2, 3, 4)
    picture = draw_panel(panel)
    assert (picture.mode, picture.size) == ("RGB", (SIDE, SIDE))
    assert picture.tobytes() == draw_panel(panel).tobytes()


def test_the_pixels_are_those_that_were_published() -> None:
    """A new Pillow may draw otherwise: look at the panels, then set the value anew."""
    assert fingerprint() == FINGERPRINT


@pytest.mark.parametrize("cells", [1, 4, 9])
def test_neighbouring_types_sizes_and_greys_can_be_told_apart(cells: int) -> None:
    def difference(one: Panel, other: Panel) -> int:
        pixels = ImageChops.difference(draw_panel(one), draw_panel(other)).convert("L").histogram()
        return sum(pixels[32:])

    for size in range(1, 5):
        assert difference(Panel(cells, 1, 4, size, 2), Panel(cells, 1, 4, size + 1, 2)) > 25
    for colour in range(len(GREYS) - 1):
        assert difference(Panel(cells, 1, 3, 1, colour), Panel(cells, 1, 3, 1, colour + 1)) > 25
    for one, other in combinations(range(len(TYPES)), 2):
        assert difference(Panel(cells, 1, one, 1, 4), Panel(cells, 1, other, 1, 4)) > 12


def test_entities_stand_in_the_cells_that_the_bits_name() -> None:
    picture = draw_panel(Panel(9, 0b100_000_010, 1, 5, 5)).convert("L")
    dark = [cell for cell in range(9) if picture.getpixel((16 + 32 * (cell % 3), 16 + 32 * (cell // 3))) == 0]
    assert dark == [1, 8]


def test_the_candidates_of_a_matrix_are_different_pictures() -> None:
    for number in range(20):
        matrix = make_matrix(f"test|{number}")
        assert len({draw_panel(panel).tobytes() for panel in matrix.candidates}) == len(matrix.candidates)
