"""The rules of matrices."""

from __future__ import annotations

import pytest

from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.matrix_rules import Attribute, Places, Rule, Scale, draw_rows, predictions, third_value

COLOUR = Scale("colour", 0, 5)
PLACES = Places(4)  # cells 0 to 3 are the bits 1, 2, 4 and 8

ROWS = [
    (COLOUR, Rule("constant"), (4, 4), 4),
    (COLOUR, Rule("constant"), (4, 3), None),
    (COLOUR, Rule("progression", 2), (1, 3), 5),
    (COLOUR, Rule("progression", 2), (2, 4), None),
    (COLOUR, Rule("progression", -1), (3, 2), 1),
    (COLOUR, Rule("arithmetic", 1), (2, 3), 5),
    (COLOUR, Rule("arithmetic", 1), (2, 4), None),
    (COLOUR, Rule("arithmetic", -1), (4, 3), 1),
    (COLOUR, Rule("arithmetic", -1), (4, 0), None),
    (PLACES, Rule("progression", 1), (0b1001, 0b0011), 0b0110),
    (PLACES, Rule("progression", 2), (0b0101, 0b0101), None),
    (PLACES, Rule("arithmetic", 1), (0b0011, 0b0110), 0b0111),
    (PLACES, Rule("arithmetic", 1), (0b0111, 0b0010), None),
    (PLACES, Rule("arithmetic", -1), (0b0111, 0b1010), 0b0101),
    (PLACES, Rule("arithmetic", -1), (0b0010, 0b0111), None),
]


@pytest.mark.parametrize(("attribute", "rule", "first_two", "third"), ROWS)
def test_the_third_value_of_a_row(
    attribute: Attribute, rule: Rule, first_two: tuple[int, int], third: int | None
) -> None:
    assert third_value(attribute, rule, *first_two, ()) == third


def test_distribute_three_leaves_the_one_value_that_is_not_yet_in_the_row() -> None:
    rule = Rule("distribute three")
    assert third_value(COLOUR, rule, 5, 0, (0, 3, 5)) == 3
    assert third_value(COLOUR, rule, 5, 5, (0, 3, 5)) is None
    assert third_value(COLOUR, rule, 5, 1, (0, 3, 5)) is None


def test_rows_with_several_explanations_predict_all() -> None:
    """1 2 3 twice is a progression, a sum and three values that return; they part when the last row begins with 2 3."""
    assert predictions(COLOUR, ((1, 2, 3), (1, 2, 3)), 2, 3) == {1, 4, 5}
    assert predictions(COLOUR, ((1, 2, 3), (0, 1, 2)), 2, 3) == {4}


def test_types_have_no_sums_and_no_step_that_leaves_a_single_row() -> None:
    rules = Scale("type", 0, 4, arithmetic=False).rules
    assert {rule.name for rule in rules} == {"constant", "progression", "distribute three"}
    assert {rule.step for rule in rules if rule.name == "progression"} == {-1, 1}


@pytest.mark.parametrize("attribute", [COLOUR, PLACES, Places(9), Scale("number", 1, 4)])
def test_drawn_rows_obey_their_rule_and_have_one_solution(attribute: Attribute) -> None:
    for rule in attribute.rules:
        for number in range(10):
            top, middle, bottom = draw_rows(attribute, rule, Draws(f"{rule}|{number}"))
            for row in (top, middle, bottom):
                assert third_value(attribute, rule, *row[:2], top) == row[2]
            assert predictions(attribute, (top, middle), *bottom[:2]) == {bottom[2]}
