from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.reports.pictures import Album
from kosmos_eval.reports.samples import ANSWER_LIMIT, PROMPT_LIMIT, build_samples, verdict

if TYPE_CHECKING:
    from kosmos_eval.record import SampleRecord
    from kosmos_eval.reports.samples import SamplesView, SampleView
    from tests.reports.conftest import Make


def build(make: Make, samples: list[SampleRecord], **changes: Any) -> SamplesView:  # noqa: ANN401  any field
    cell = make.cell(**{"shown": tuple(sample.key for sample in samples), **changes})
    return build_samples(cell, iter(samples), Album(make.record(cell)))


def view(make: Make, sample: SampleRecord) -> SampleView:
    return build(make, [sample]).shown[0]


@pytest.mark.parametrize(
    ("value", "higher_is_better", "expected"),
    [(1.0, True, "right"), (0.3, True, "partly"), (0.0, True, "wrong"), (0.0, False, "right"), (1.5, False, "wrong")],
)
def test_verdict_follows_the_headline(make: Make, value: float, higher_is_better: bool, expected: str) -> None:  # noqa: FBT001  a parametrised case
    metric = replace(make.metric, higher_is_better=higher_is_better)
    assert verdict(make.sample(values={"accuracy": value}), metric) == expected


def test_an_unread_answer_is_unparsed_and_one_without_a_value_unscored(make: Make) -> None:
    assert verdict(make.sample(answer=None, values={"accuracy": 0.0}), make.metric) == "unparsed"
    assert verdict(make.sample(values={}), make.metric) == "unscored"
    assert verdict(make.sample(), None) == "unscored"


def test_wrong_and_unparsed_come_first_each_kind_in_the_records_order(make: Make) -> None:
    samples = [
        make.sample("a"),
        make.sample("b", values={"accuracy": 0.0}),
        make.sample("c"),
        make.sample("d", answer=None),
        make.sample("left out", values={"accuracy": 0.0}),
    ]
    built = build(make, samples, shown=("d", "c", "b", "a"))
    assert [each.key for each in built.shown] == ["b", "d", "a", "c"]
    assert built.counts == (4, 1, 1)
    assert built.note.startswith("4 of 5 samples")


def test_margins_count_every_sample_shown_or_not(make: Make) -> None:
    margins = [None, 0.0, 0.0005, 0.001, 2.0]
    samples = [make.sample(str(index), margin=margin) for index, margin in enumerate(margins)]
    found = build(make, samples, shown=()).margins
    assert found is not None
    assert (found.compared, found.near, found.exact) == ("4", "2", "1")
    assert (found.near_share, found.exact_share) == ("50.0", "25.0")
    assert build(make, samples[:1]).margins is None


def test_long_prompts_keep_their_end_and_long_answers_their_beginning(make: Make) -> None:
    sample = make.sample("1", make.generate("x" * 10_000 + "the question", "y" * 10_000))
    exchange = view(make, sample).exchanges[0]
    text = "".join(piece.text for piece in exchange.pieces)
    assert (len(text), text[-12:]) == (PROMPT_LIMIT, "the question")
    assert exchange.left_out == "4,012"
    assert exchange.written == "y" * ANSWER_LIMIT + " … 6,000 more characters"


def test_the_query_is_shown_large_and_exemplars_small(make: Make) -> None:
    digests = [make.picture(str(index), (192, 144)) for index in range(3)]
    prompt = "".join(f"<image:{digest[:12]}> text " for digest in digests)
    found = view(make, make.sample("1", make.generate(prompt, "", digests), exemplars=("e1", "e2")))
    widths = [piece.picture.width for piece in found.exchanges[0].pieces if piece.picture]
    assert widths == [96, 96, 192]
    assert found.cover is not None
    assert found.cover.picture == found.exchanges[0].pieces[4].picture


def test_two_stages_are_two_exchanges(make: Make) -> None:
    stages = (make.generate("Introduce this picture:", " a sign"), make.score("It is", {" good": -1.0, " bad": -2.0}))
    first, second = view(make, make.sample("1", *stages, target="bad")).exchanges
    assert (first.written, first.options) == (" a sign", None)
    assert second.options is not None
    assert [option.right for option in second.options.shown] == [False, True]


@pytest.mark.parametrize(("count", "columns"), [(3, 2), (4, 5), (8, 3)])
@pytest.mark.parametrize("shots", [0, 2])
def test_a_puzzle_is_laid_out_with_the_querys_pictures(make: Make, count: int, columns: int, shots: int) -> None:
    digests = [make.picture(str(index)) for index in range(shots * (count + 1) + count)]
    options = {f"<image:{digest[:12]}> Yes": -1.0 for digest in digests[:2]}
    exchange = make.score("", options, digests, [[digests[0]], [digests[1]]])
    matrix = view(make, make.sample("1", exchange, exemplars=("e",) * shots)).exchanges[0].matrix
    assert matrix is not None
    assert matrix.columns == columns
    assert [piece.text for piece in matrix.given] == [f"image {digest[:12]}" for digest in digests[-count:]]


def test_options_without_pictures_make_no_puzzle(make: Make) -> None:
    digests = [make.picture(str(index)) for index in range(8)]
    found = view(make, make.sample("1", make.score("", {"yes": -1.0, "no": -2.0}, digests)))
    assert found.exchanges[0].matrix is None
