"""Matrices: one candidate is right, and the candidates alone do not tell which."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from PIL import ImageStat
from scipy.stats import binom

from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.matrices import CANDIDATES, CONFIGURATIONS, CONTEXT, Panel, make_matrix, obeys, solutions
from kosmos_eval.microworld.panels import draw_panel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MATRICES = [make_matrix(f"test|{number}") for number in range(600)]
LOOKS = ("number", "position", "type", "size", "colour")


def test_a_subject_fixes_its_matrix() -> None:
    assert make_matrix("test|3") == MATRICES[3]
    assert len({matrix.context for matrix in MATRICES}) == len(MATRICES)


def test_exactly_one_candidate_obeys_all_the_rules() -> None:
    for matrix in MATRICES:
        assert [index for index, panel in enumerate(matrix.candidates) if obeys(matrix, panel)] == [matrix.target]


def test_exactly_one_candidate_is_a_solution_for_someone_who_must_find_the_rules() -> None:
    for matrix in MATRICES:
        assert solutions(matrix.context, matrix.candidates) == [matrix.target]


def test_every_row_obeys_the_rules() -> None:
    for matrix in MATRICES:
        for name, rule in matrix.rules.items():
            values = [getattr(panel, name) for panel in (*matrix.context, matrix.candidates[matrix.target])]
            rows = [tuple(values[at : at + 3]) for at in (0, 3, 6)]
            if rule.name == "constant":
                assert all(len(set(row)) == 1 for row in rows)
            if rule.name == "distribute three":
                assert len({frozenset(row) for row in rows}) == 1
                assert all(len(set(row)) == 3 for row in (*rows, *zip(*rows, strict=True)))
            if rule.name == "progression" and name != "position":
                assert {row[1] - row[0] for row in rows} == {row[2] - row[1] for row in rows} == {rule.step}
            if rule.name == "arithmetic" and name != "position":
                assert all(row[2] == row[0] + rule.step * row[1] for row in rows)


def test_a_matrix_has_eight_different_candidates_that_are_all_ways_of_taking_three_pairs_of_values() -> None:
    for matrix in MATRICES:
        assert (len(matrix.context), len(set(matrix.candidates))) == (CONTEXT, CANDIDATES)
        spread = [Counter(getattr(panel, name) for panel in matrix.candidates) for name in LOOKS[1:]]
        assert sorted(tuple(values.values()) for values in spread) == [(4, 4), (4, 4), (4, 4), (8,)]


def test_number_and_position_are_never_both_governed() -> None:
    for matrix in MATRICES:
        carriers = {"number", "position"} & set(matrix.rules)
        assert len(carriers) == (matrix.configuration != "center")
        assert {"type", "size", "colour"} <= set(matrix.rules)


def test_all_configurations_rules_and_places_of_the_answer_occur() -> None:
    assert {matrix.configuration for matrix in MATRICES} == set(CONFIGURATIONS)
    governed = Counter((name, rule.name) for matrix in MATRICES for name, rule in matrix.rules.items())
    assert len(governed) == 4 * 3 + 3 + 3
    assert min(governed.values()) > 20
    targets = Counter(matrix.target for matrix in MATRICES)
    assert set(targets) == set(range(CANDIDATES))


def overlap(one: Panel, other: Panel) -> int:
    """In how many attributes two panels agree."""
    return sum(getattr(one, name) == getattr(other, name) for name in LOOKS)


def closeness(one: Panel, other: Panel) -> float:
    """How near two panels' levels are."""
    levels = ((one.number, other.number), (one.type, other.type), (one.size, other.size), (one.colour, other.colour))
    return -sum(abs(first - second) for first, second in levels)


def majority(panels: Sequence[Panel]) -> list[float]:
    """How many candidates share each value of a candidate: what gives RAVEN's own candidates away."""
    counts = {name: Counter(getattr(panel, name) for panel in panels) for name in LOOKS}
    return [sum(counts[name][getattr(panel, name)] for name in LOOKS) for panel in panels]


def alike(panels: Sequence[Panel]) -> list[float]:
    return [sum(overlap(panel, other) for other in panels) for panel in panels]


def near(panels: Sequence[Panel]) -> list[float]:
    return [sum(closeness(panel, other) for other in panels) for panel in panels]


def far(panels: Sequence[Panel]) -> list[float]:
    return [-score for score in near(panels)]


def large_and_dark(panels: Sequence[Panel]) -> list[float]:
    """Sums end on high levels, so a solver may guess that answers are high."""
    return [panel.number + panel.type + panel.size + panel.colour for panel in panels]


def pixel_outlier(panels: Sequence[Panel]) -> list[float]:
    """How far the mean of the pixels is from the mean of all."""
    means = [ImageStat.Stat(draw_panel(panel)).mean[0] for panel in panels]
    return [abs(mean - sum(means) / len(means)) for mean in means]


def ordinary_pixels(panels: Sequence[Panel]) -> list[float]:
    return [-score for score in pixel_outlier(panels)]


def usual_values(panels: Sequence[Panel]) -> list[float]:
    """How often each value was right in other matrices, as a solver would learn it that is trained on the answers."""
    return [sum(learned()[name, getattr(panel, name)] for name in LOOKS) for panel in panels]


def learned(memory: dict[tuple[str, int], float] = {}) -> dict[tuple[str, int], float]:  # noqa: B006  the memory is meant
    if not memory:
        right: Counter[tuple[str, int]] = Counter()
        shown: Counter[tuple[str, int]] = Counter()
        for number in range(400):
            matrix = make_matrix(f"learn|{number}")
            for index, panel in enumerate(matrix.candidates):
                shown.update((name, getattr(panel, name)) for name in LOOKS)
                right.update((name, getattr(panel, name)) for name in LOOKS if index == matrix.target)
        every = {(name, value): 0.0 for name in LOOKS for value in range(512)}
        memory.update(every | {key: right[key] / shown[key] for key in shown})
    return memory


BLIND = [majority, alike, near, far, large_and_dark, pixel_outlier, ordinary_pixels, usual_values]


@pytest.mark.parametrize("strategy", BLIND)
def test_a_solver_that_sees_the_candidates_alone_stays_at_chance(
    strategy: Callable[[Sequence[Panel]], list[float]],
) -> None:
    """Ties are broken by lot; outside these bounds chance falls once in ten thousand times."""
    matrices = MATRICES[:200] if "pixel" in strategy.__name__ else MATRICES
    right = 0
    for number, matrix in enumerate(matrices):
        scores = strategy(matrix.candidates)
        best = [index for index, score in enumerate(scores) if score == max(scores)]
        right += Draws(f"lot|{number}").choice(best) == matrix.target
    low, high = binom.ppf(0.00005, len(matrices), 1 / 8), binom.ppf(0.99995, len(matrices), 1 / 8)
    assert low <= right <= high
