from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.record import MarginSummary
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


@pytest.mark.parametrize(
    ("value", "higher_is_better", "expected"),
    [(10.0, True, "right"), (1.0, True, "partly"), (0.0, True, "wrong"), (0.0, False, "right"), (10.0, False, "wrong")],
)
def test_right_is_the_best_that_the_metric_can_be(
    make: Make,
    value: float,
    higher_is_better: bool,  # noqa: FBT001  a parametrised case
    expected: str,
) -> None:
    metric = replace(make.metric, upper=10.0, higher_is_better=higher_is_better)
    assert verdict(make.sample(values={"accuracy": value}), metric) == expected


def test_without_a_bound_nothing_is_the_best_or_the_worst(make: Make) -> None:
    metric = replace(make.metric, lower=None, upper=None)
    assert verdict(make.sample(values={"accuracy": 0.0}), metric) == "partly"


def test_samples_are_judged_by_the_first_metric_that_they_have_values_of(make: Make) -> None:
    auc, rank = replace(make.metric, name="auc"), replace(make.metric, name="rank", upper=100.0, percent=False)
    built = build(make, [make.sample("1", values={"rank": 41.5})], metrics=(auc, rank))
    assert (built.metric, built.unit) == ("rank", "")
    assert (built.shown[0].verdict, built.shown[0].value) == ("partly", "41.50")
    assert ("rank", "41.50") in [(fact.name, fact.text) for fact in built.shown[0].facts]


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
    assert [(each.kind, each.count) for each in built.filters] == [("all", 4), ("wrong", 1), ("unparsed", 1)]
    assert built.note.startswith("4 of 5 samples")


def test_margins_are_the_record_s(make: Make) -> None:
    found = build(make, [make.sample("1")], margins=MarginSummary(1_600, 800, 0.5, 400, 0.3125, 1e-3)).margins
    assert found is not None
    assert (found.count, found.median, found.threshold) == ("1,600", "0.312", "0.001")
    assert (found.near, found.near_share, found.exact, found.exact_share) == ("800", "50.0", "400", "25.0")
    assert build(make, [make.sample("1")], margins=MarginSummary(0, 0, None, 0, None, 1e-3)).margins is None
    assert build(make, [make.sample("1")]).margins is None


def test_near_ties_and_failures_can_be_listed_alone(make: Make) -> None:
    failed = make.failed("f", "too big for this machine")
    near = make.sample("n", margin=0.0004, near_tie=True)
    built = build(make, [make.sample("a", margin=2.0, near_tie=False), near, failed], failed=1)
    filters = [("all", 3), ("wrong", 0), ("unparsed", 0), ("failed", 1), ("near-tie", 1)]
    assert [(each.kind, each.count) for each in built.filters] == filters
    assert [(each.key, each.verdict, each.near_tie) for each in built.shown] == [
        ("f", "failed", False),
        ("a", "right", False),
        ("n", "right", True),
    ]
    assert built.note == "All 3 samples, failed, wrong and unparsed ones first."
    assert [fact.text for fact in built.shown[2].facts if fact.name == "margin, nats"] == [
        "4.0e\N{MINUS SIGN}04, a near tie"
    ]


@pytest.mark.parametrize(("kind", "title"), [("Generate", "Continue"), ("Score", "Weigh the options")])
def test_a_failed_sample_shows_what_was_asked_and_why_it_failed(make: Make, kind: str, title: str) -> None:
    sample = make.failed("f", "too big for this machine", kind)
    shown = view(make, sample)
    assert (shown.answer, shown.value, verdict(sample, make.metric)) == ("failed", "—", "failed")
    (exchange,) = shown.exchanges
    assert (exchange.title, exchange.written, exchange.options, exchange.matrix) == (title, "", None, None)
    assert [(fact.name, fact.text) for fact in exchange.facts] == [("failed", "too big for this machine")]


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
