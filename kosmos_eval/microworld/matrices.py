"""Raven's Progressive Matrices with known rules and candidates that give nothing away.

A matrix has three rows of three panels, the ninth missing, and eight candidates for it. The rules are RAVEN's
(see `matrix_rules`). The candidates are made by the attribute bisection tree of I-RAVEN: three attributes are
chosen, each is given one other value, and the candidates are all eight ways of taking the right or the other value.
Here the other value is drawn from the same distribution as the right one, as the answer of a second set of rows
under the same rule, rather than uniformly: right and other values can then be swapped without any difference, so
no solver whatever that sees the candidates alone can do better than one in eight.

Sources: Zhang et al. 2019 (arXiv 1903.02741); Hu et al. 2021, "Stratified Rule-Aware Network for Abstract Visual
Reasoning" (arXiv 2002.06838).

Deviations from RAVEN: three of the seven configurations; all entities of a panel look alike (RAVEN also mixes them
where a rule allows); they are never rotated; five sizes instead of six and six greys instead of ten, so that they
can be told apart in a panel of 96 pixels; at least one rule is not *constant*; a step that
would leave one possible row (types and sizes by two) is left out; and matrices with two solutions under the rule set
are drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .draws import Draws
from .matrix_rules import Attribute, Places, Rows, Rule, Scale, draw_rows, predictions, third_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TYPES = ("triangle", "square", "pentagon", "hexagon", "circle")
CONFIGURATIONS: Mapping[str, int] = MappingProxyType({"center": 1, "2x2": 4, "3x3": 9})
CONTEXT = 8
CANDIDATES = 8

_LOOKS = (Scale("type", 0, len(TYPES) - 1, arithmetic=False), Scale("size", 1, 5), Scale("colour", 0, 5))
_CHANGED = 3  # attributes; two to the third are the eight candidates


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: some cells of a square grid hold an entity, and all entities look alike.

    Attributes:
        cells: number of cells, 1, 4 or 9.
        position: which cells are taken, one bit a cell in reading order.
        type: index into `TYPES`.
        size: from 1 to 5.
        colour: from 0, white, to 5, black.
    """

    cells: int
    position: int
    type: int
    size: int
    colour: int

    @property
    def number(self) -> int:
        """How many entities there are."""
        return self.position.bit_count()


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix to be completed.

    Attributes:
        configuration: `center`, `2x2` or `3x3`.
        rules: attribute to rule; besides `type`, `size` and `colour` either `number` or `position`, and neither in a
            panel with one cell.
        context: the first eight panels, row by row.
        candidates: eight different panels.
        target: index of the candidate that is right.
    """

    configuration: str
    rules: Mapping[str, Rule]
    context: tuple[Panel, ...]
    candidates: tuple[Panel, ...]
    target: int


def make_matrix(subject: str) -> Matrix:
    """Return the matrix of a subject; a pure function of it."""
    draws = Draws(f"matrix|{subject}")
    configuration = draws.choice(tuple(CONFIGURATIONS))
    cells = CONFIGURATIONS[configuration]
    attributes = [*_LOOKS, *([draws.choice(_carriers(cells))] if cells > 1 else [])]
    rules = _draw_rules(attributes, draws)
    changed = draws.sample([attribute.name for attribute in attributes], _CHANGED)
    columns: dict[str, Rows] = {}
    others: dict[str, int] = {}
    for attribute in attributes:
        rows, other = _rows_and_other(attribute, rules[attribute.name], cells, draws)
        held = "position" if attribute.name == "number" else attribute.name
        columns[held] = rows
        if attribute.name in changed:
            others[held] = other
    columns.setdefault("position", ((1, 1, 1),) * 3)
    panels = [
        Panel(cells, **{name: rows[place // 3][place % 3] for name, rows in columns.items()})
        for place in range(CONTEXT + 1)
    ]
    candidates = [panels[CONTEXT]]
    for name, other in others.items():
        candidates += [replace(candidate, **{name: other}) for candidate in candidates]
    candidates = draws.shuffled(candidates)
    return Matrix(
        configuration,
        MappingProxyType(rules),
        tuple(panels[:CONTEXT]),
        tuple(candidates),
        candidates.index(panels[CONTEXT]),
    )


def _carriers(cells: int) -> tuple[Attribute, Attribute]:
    """Return the two attributes of which one is governed by a rule and the other follows or is free."""
    return Scale("number", 1, cells), Places(cells)


def _draw_rules(attributes: Sequence[Attribute], draws: Draws) -> dict[str, Rule]:
    """Return a rule for each attribute, first its name and then its step; they are not all constant."""
    while True:
        rules = {}
        for attribute in attributes:
            # A constant number at changing places is no rule of RAVEN's: what is constant is the position.
            possible = [rule for rule in attribute.rules if (attribute.name, rule.name) != ("number", "constant")]
            name = draws.choice(sorted({rule.name for rule in possible}))
            rules[attribute.name] = draws.choice([rule for rule in possible if rule.name == name])
        if any(rule.name != "constant" for rule in rules.values()):
            return rules


def _rows_and_other(attribute: Attribute, rule: Rule, cells: int, draws: Draws) -> tuple[Rows, int]:
    """Return nine values under a rule, sets of cells for a number, and a wrong value for the ninth.

    Both sets of rows are drawn again when their last values are alike, rather than one of them: that keeps the right
    and the wrong value exchangeable.
    """
    while True:
        rows, others = (_draw_column(attribute, rule, cells, draws) for _ in range(2))
        right, wrong = rows[2][2], others[2][2]
        if right != wrong and (attribute.name != "number" or right.bit_count() != wrong.bit_count()):
            return rows, wrong


def _draw_column(attribute: Attribute, rule: Rule, cells: int, draws: Draws) -> Rows:
    """Return nine values under a rule; those of number and position agree that there is one solution."""
    number, position = _carriers(cells)
    while True:
        rows = draw_rows(attribute, rule, draws)
        if attribute.name == "number":
            placed = _map(rows, lambda taken: _some_cells(taken, cells, draws))
            if not _predicted(position, placed):
                return placed
        elif attribute.name == "position":
            counts = _map(rows, int.bit_count)
            if _predicted(number, counts) <= {counts[2][2]}:
                return rows
        else:
            return rows


def _map(rows: Rows, change: Callable[[int], int]) -> Rows:
    top, middle, bottom = ((change(one), change(two), change(three)) for one, two, three in rows)
    return top, middle, bottom


def _some_cells(taken: int, cells: int, draws: Draws) -> int:
    return sum(1 << cell for cell in draws.sample(range(cells), taken))


def _predicted(attribute: Attribute, rows: Rows) -> set[int]:
    return predictions(attribute, rows[:2], *rows[2][:2])


def obeys(matrix: Matrix, panel: Panel) -> bool:
    """Return whether a panel completes the third row under every rule of the matrix."""
    attributes = (*_LOOKS, *_carriers(panel.cells))
    by_name = {attribute.name: attribute for attribute in attributes}
    for name, rule in matrix.rules.items():
        values = [getattr(each, name) for each in matrix.context]
        if third_value(by_name[name], rule, values[6], values[7], values[:3]) != getattr(panel, name):
            return False
    return True


def solutions(context: Sequence[Panel], candidates: Sequence[Panel]) -> list[int]:
    """Return the indices of the candidates that some rules of the set allow, without being told which rules hold.

    Where the positions follow a rule, the number follows from it; otherwise the number must follow one itself.
    """

    def allowed(attribute: Attribute) -> set[int]:
        values = [getattr(panel, attribute.name) for panel in context]
        top, middle = ((values[at], values[at + 1], values[at + 2]) for at in (0, 3))
        return predictions(attribute, (top, middle), values[6], values[7])

    number, position = _carriers(context[0].cells)
    wanted = {attribute.name: allowed(attribute) for attribute in _LOOKS}
    if context[0].cells > 1:
        wanted |= {"position": allowed(position)} if allowed(position) else {"number": allowed(number)}
    return [
        index
        for index, candidate in enumerate(candidates)
        if all(getattr(candidate, name) in values for name, values in wanted.items())
    ]
