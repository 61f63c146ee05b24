"""The rules of Raven's Progressive Matrices, after the RAVEN rule set, over whole-numbered attributes.

Every row of a matrix obeys the same rule for each attribute: what a row's first two panels show settles its third.
A rule is kept only where it can be found out: whatever rule of the set agrees with all that is seen, its third value
in the last row is the same.

Source: Zhang et al. 2019, "RAVEN: A Dataset for Relational and Analogical Visual rEasoNing" (arXiv 1903.02741),
section 3; levels and steps after the released generator (WellyZhang/RAVEN, src/dataset/const.py and Rule.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .draws import Draws

RuleName = Literal["constant", "progression", "arithmetic", "distribute three"]
Triple = tuple[int, int, int]
Rows = tuple[Triple, Triple, Triple]

_STEPS = (-2, -1, 1, 2)
_SIGNS = (-1, 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a row's values go on.

    Attributes:
        name: which of the four.
        step: of a progression, what is added from panel to panel; of an arithmetic, 1 for the sum of the first two
            and -1 for their difference; else 0.
    """

    name: RuleName
    step: int = 0


class Attribute(Protocol):
    """What the values of an attribute are and how they are reckoned with."""

    @property
    def name(self) -> str: ...  # noqa: D102  as results spell it
    @property
    def values(self) -> Sequence[int]: ...  # noqa: D102  all there are
    @property
    def rules(self) -> tuple[Rule, ...]: ...  # noqa: D102  those that can govern it

    def step(self, value: int, by: int) -> int | None:
        """Return the value that many steps on; `None` where there is none, or where no step would be seen."""
        ...

    def combine(self, first: int, second: int, sign: int) -> int | None:
        """Return the sum (or difference) of two values; `None` where there is none, or where none would be seen."""
        ...

    def triple(self, draws: Draws) -> Triple:
        """Return three different values for the rows of *distribute three*."""
        ...


@dataclass(frozen=True, slots=True)
class Scale:
    """An attribute whose values are levels from low to high.

    Attributes:
        name: of the attribute.
        low, high: first and last level.
        arithmetic: whether sums of levels mean something; for types they do not.
    """

    name: str
    low: int
    high: int
    arithmetic: bool = True

    @property
    def values(self) -> Sequence[int]:
        """The levels."""
        return range(self.low, self.high + 1)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that can govern it, with the steps that leave at least two rows to choose from."""
        steps = [step for step in _STEPS if 2 * abs(step) < self.high - self.low]
        return (
            Rule("constant"),
            *(Rule("progression", step) for step in steps),
            *(Rule("arithmetic", sign) for sign in _SIGNS if self.arithmetic),
            Rule("distribute three"),
        )

    def step(self, value: int, by: int) -> int | None:
        """Return the level that many further."""
        return value + by if self.low <= value + by <= self.high else None

    def combine(self, first: int, second: int, sign: int) -> int | None:
        """Return the sum or difference of the levels; a second level of zero would leave nothing to be seen."""
        return self.step(first, sign * second) if second else None

    def triple(self, draws: Draws) -> Triple:
        """Return three levels."""
        first, second, third = draws.sample(self.values, 3)
        return first, second, third


@dataclass(frozen=True, slots=True)
class Places:
    """Which cells of a panel are taken: each value is a set of cells, one bit a cell and never empty.

    Attributes:
        cells: number of cells in a panel.
        name: of the attribute.
    """

    cells: int
    name: str = "position"

    @property
    def values(self) -> Sequence[int]:
        """All sets of cells but the empty one."""
        return range(1, 1 << self.cells)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All four rules; a progression rolls the set over the cells, and arithmetic is union and difference."""
        return (
            Rule("constant"),
            *(Rule("progression", step) for step in _STEPS),
            *(Rule("arithmetic", sign) for sign in _SIGNS),
            Rule("distribute three"),
        )

    def step(self, value: int, by: int) -> int | None:
        """Return the set rolled on by that many cells in reading order, the last cell followed by the first."""
        shift = by % self.cells
        rolled = (value << shift | value >> (self.cells - shift)) & ((1 << self.cells) - 1)
        return rolled if rolled != value else None

    def combine(self, first: int, second: int, sign: int) -> int | None:
        """Return the union or difference, where it is neither empty nor one of the two."""
        combined = first | second if sign > 0 else first & ~second
        return combined if combined not in (0, first, second) else None

    def triple(self, draws: Draws) -> Triple:
        """Return three sets of equally many cells, as in RAVEN."""
        taken = 1 + draws.below(self.cells - 1)
        first, second, third = draws.sample([value for value in self.values if value.bit_count() == taken], 3)
        return first, second, third


def third_value(attribute: Attribute, rule: Rule, first: int, second: int, triple: Sequence[int]) -> int | None:
    """Return the value that a row's third panel must have under a rule; `None` where its first two break the rule.

    Args:
        attribute: whose values these are.
        rule: that governs the row.
        first: value of the row's first panel.
        second: of its second.
        triple: the three values of *distribute three*; unused by the others.
    """
    match rule.name:
        case "constant":
            return first if first == second else None
        case "progression":
            return attribute.step(second, rule.step) if attribute.step(first, rule.step) == second else None
        case "arithmetic":
            return attribute.combine(first, second, rule.step)
        case "distribute three":
            left = set(triple) - {first, second}
            return left.pop() if len(set(triple)) == len(triple) and len(left) == 1 and first != second else None


def predictions(attribute: Attribute, seen: tuple[Triple, Triple], first: int, second: int) -> set[int]:
    """Return every value that the missing panel can have by a rule that agrees with all eight panels.

    Args:
        attribute: whose values these are.
        seen: the first two rows.
        first: value of the third row's first panel.
        second: of its second.
    """
    found = set()
    for rule in attribute.rules:
        triple = seen[0]
        if all(third_value(attribute, rule, one, two, triple) == three for one, two, three in seen):
            third = third_value(attribute, rule, first, second, triple)
            if third is not None:
                found.add(third)
    return found


def draw_rows(attribute: Attribute, rule: Rule, draws: Draws) -> Rows:
    """Return nine values, row by row, that obey a rule; all rules that agree with the first eight give the ninth."""
    while True:
        top, middle, bottom = rows = _obedient_rows(attribute, rule, draws)
        if predictions(attribute, (top, middle), *bottom[:2]) == {bottom[2]}:
            return rows


def _obedient_rows(attribute: Attribute, rule: Rule, draws: Draws) -> Rows:
    if rule.name == "distribute three":
        one, two, three = draws.choice(list(permutations(attribute.triple(draws))))
        turned: tuple[Triple, Triple] = ((two, three, one), (three, one, two))
        return ((one, two, three), *(turned if draws.below(2) else turned[::-1]))
    return (_row(attribute, rule, draws), _row(attribute, rule, draws), _row(attribute, rule, draws))


def _row(attribute: Attribute, rule: Rule, draws: Draws) -> Triple:
    while True:
        first = draws.choice(attribute.values)
        second: int | None = first
        if rule.name == "progression":
            second = attribute.step(first, rule.step)
        elif rule.name == "arithmetic":
            second = draws.choice(attribute.values)
        third = None if second is None else third_value(attribute, rule, first, second, ())
        if second is not None and third is not None:
            return first, second, third
