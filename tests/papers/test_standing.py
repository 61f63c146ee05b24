"""Verdicts on runs whose scores are known: planted at the published value, off it, or too small to tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.papers.standing import NO_RUN, Terms, Verdict, judge, judge_table, model_name

if TYPE_CHECKING:
    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.published import Number, Paper
    from kosmos_eval.papers.standing import Standing
    from kosmos_eval.record import RunRecord
    from tests.papers.conftest import MakeCell, Plant


@pytest.fixture
def entities(kosmos_2: Paper) -> Number:
    """78.7, of 14,481 phrases."""
    return kosmos_2.table("2").rows[-1].numbers["test-1"]


@pytest.fixture
def captions(kosmos_1: Paper) -> Number:
    """75.3, at 4 shots, of 1,000 pictures, with a margin of 2."""
    return kosmos_1.table("3").rows[-1].numbers["flickr-4"]


@pytest.fixture
def parts(parts_of: dict[str, Parts]) -> Parts:
    return parts_of["kosmos-1"]


def stand(number: Number, parts: Parts, *records: RunRecord, terms: Terms | None = None) -> Standing:
    return judge(number, records, parts, terms or Terms())


@pytest.mark.parametrize(
    ("value", "count", "verdict"),
    [
        (0.787, 14_481, Verdict.REPRODUCED),
        (0.796, 14_481, Verdict.REPRODUCED),
        (0.737, 14_481, Verdict.DIFFERS),
        (0.837, 14_481, Verdict.DIFFERS),
        (0.80, 50, Verdict.INCONCLUSIVE),
        (0.787, 14_000, Verdict.REPRODUCED),
        (0.737, 13_000, Verdict.DIFFERS),
        (0.50, 200, Verdict.DIFFERS),
    ],
)
def test_a_planted_run_gets_the_verdict_that_it_deserves(
    entities: Number,
    parts_of: dict[str, Parts],
    plant: Plant,
    make_cell: MakeCell,
    *,
    value: float,
    count: int,
    verdict: Verdict,
) -> None:
    cell = make_cell("flickr30k_entities:test", "recall_1", value, count, 14_481)
    standing = stand(entities, parts_of["kosmos-2"], plant(cell))
    assert standing.verdict is verdict
    assert standing.reason
    assert standing.value == pytest.approx(100 * value, abs=1)


def test_every_number_is_reproduced_by_a_run_at_its_value_and_not_by_one_five_points_off(
    kosmos_1: Paper, kosmos_2: Paper, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    seen = 0
    for paper in (kosmos_1, kosmos_2):
        for table in paper.tables:
            for number in table.own:
                if number.protocol is None or number.protocol.served or not 5 < number.value < 94:
                    continue
                many = number.protocol.samples or 5000
                for off, verdict in ((0, Verdict.REPRODUCED), (5, Verdict.DIFFERS), (-5, Verdict.DIFFERS)):
                    value = (number.value + off) / 100
                    cell = make_cell(number.protocol.part, number.metric, value, many, shots=number.shots)
                    standing = stand(number, parts_of[paper.name], plant(cell))
                    assert standing.verdict is verdict, (paper.name, table.number, number.text, standing.reason)
                seen += 1
    assert seen > 60


def test_an_inconclusive_run_says_how_many_samples_would_tell(
    entities: Number, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    parts = parts_of["kosmos-2"]
    few = stand(entities, parts, plant(make_cell("flickr30k_entities:test", "recall_1", 0.78, 50, 14_481)))
    assert few.verdict is Verdict.INCONCLUSIVE
    told = int(few.reason.rpartition("about ")[2].partition(" of ")[0].replace(",", ""))
    assert "of 14,481 samples would tell" in few.reason
    for count, verdict in ((round(told * 1.1), Verdict.REPRODUCED), (round(told * 0.8), Verdict.INCONCLUSIVE)):
        cell = make_cell("flickr30k_entities:test", "recall_1", 0.78, count, 14_481)
        assert stand(entities, parts, plant(cell)).verdict is verdict


def test_a_subset_that_surely_differs_by_less_than_the_margin_does_not_differ(
    entities: Number, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    found = [
        stand(
            entities,
            parts_of["kosmos-2"],
            plant(make_cell("flickr30k_entities:test", "recall_1", 0.7785, count, 14_481)),
        )
        for count in (12_000, 14_481)
    ]
    assert [each.verdict for each in found] == [Verdict.INCONCLUSIVE, Verdict.REPRODUCED]
    assert found[0].whole is not None
    assert found[0].whole[1] < 78.65


def test_only_what_was_not_asked_leaves_doubt(
    entities: Number, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    half, whole = (
        stand(
            entities,
            parts_of["kosmos-2"],
            plant(make_cell("flickr30k_entities:test", "recall_1", 0.787, count, 14_481)),
        )
        for count in (7_240, 14_481)
    )
    assert whole.whole is not None
    assert whole.whole[0] == whole.whole[1] == whole.value
    assert half.whole is not None
    assert half.low is not None
    assert half.value is not None
    assert (half.value - half.whole[0]) / (half.value - half.low) == pytest.approx(0.5**0.5, rel=1e-3)
    assert "subset: 7,240 of 14,481 samples" in half.notes


def test_the_interval_of_the_split_is_the_record_s_where_it_has_one(
    entities: Number, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    cell = make_cell("flickr30k_entities:test", "recall_1", 0.78, 50, 14_481)
    known = replace(cell, metrics=(replace(cell.metrics[0], split_low=0.7799, split_high=0.7801),))
    found = [stand(entities, parts_of["kosmos-2"], plant(each)) for each in (cell, known)]
    assert [each.verdict for each in found] == [Verdict.INCONCLUSIVE, Verdict.REPRODUCED]
    assert found[1].whole == pytest.approx((77.99, 78.01))


def test_a_whole_split_s_score_needs_no_interval(
    entities: Number, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    cell = make_cell("flickr30k_entities:test", "recall_1", 0.787, 14_481)
    bare = replace(cell, metrics=(replace(cell.metrics[0], low=None, high=None),))
    assert stand(entities, parts_of["kosmos-2"], plant(bare)).verdict is Verdict.REPRODUCED
    half = replace(bare, samples=7_000, metrics=(replace(bare.metrics[0], count=7_000),))
    lacking = stand(entities, parts_of["kosmos-2"], plant(half))
    assert (lacking.verdict, lacking.reason) == (Verdict.INCONCLUSIVE, "a subset, and there is no interval of it")


def test_the_stand_in_is_never_compared(captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell) -> None:
    cell = make_cell("flickr30k_caption", "cider", 0.753, 100, shots=4, task="flickr30k_caption@mini")
    standing = stand(captions, parts, plant(cell))
    assert (standing.verdict, standing.reason) == (Verdict.NOT_COMPARABLE, "mini: stand-in data")
    assert standing.value == pytest.approx(75)


@pytest.mark.parametrize(
    ("changes", "config", "reason"),
    [
        ({"split": "val"}, {}, "split val, published for test"),
        ({"settings": {"num_beams": 1}}, {}, "num_beams = 1 instead of 5"),
        ({"control": "image=none"}, {}, "a control, image=none"),
        ({"failed": 3}, {}, "3 of 1,000 samples failed and are in no score"),
        ({}, {"exemplars": "rices"}, "exemplars rices, published for per-sample or fixed"),
        ({"total": 2000}, {"sample_order": "first"}, "a split of 2,000 samples, published for 1,000"),
        ({"total": 31_783}, {}, "a split of 31,783 samples, published for 1,000"),
    ],
)
def test_what_is_in_the_way_is_named(
    captions: Number,
    parts: Parts,
    plant: Plant,
    make_cell: MakeCell,
    *,
    changes: dict[str, Any],
    config: dict[str, Any],
    reason: str,
) -> None:
    cell = make_cell("flickr30k_caption", "cider", 0.753, 1000, **{"shots": 4, **changes})
    standing = stand(captions, parts, plant(cell, config=config))
    assert standing.verdict is Verdict.NOT_COMPARABLE
    assert reason in standing.reason


def test_a_random_subset_is_compared_and_the_first_samples_are_not(
    captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    cell = make_cell("flickr30k_caption", "cider", 0.753, 990, 1000, shots=4)
    assert stand(captions, parts, plant(cell)).verdict is Verdict.REPRODUCED
    first = stand(captions, parts, plant(cell, config={"sample_order": "first"}))
    assert first.verdict is Verdict.NOT_COMPARABLE
    assert first.reason == "the first 990 of 1,000 samples, no random subset"


def test_settings_that_only_say_where_data_are_do_not_matter(
    captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    elsewhere = {"hub_id": "another/copy", "exemplar_hub_revision": "abc"}
    cell = make_cell("flickr30k_caption", "cider", 0.753, 1000, shots=4, settings=elsewhere)
    assert stand(captions, parts, plant(cell)).verdict is Verdict.REPRODUCED


def test_a_server_s_split_is_not_scored_here(kosmos_1: Paper, parts: Parts, plant: Plant, make_cell: MakeCell) -> None:
    number = kosmos_1.table("4").rows[-1].numbers["vqav2"]
    val = make_cell("vqav2", "vqa_accuracy", 0.51, 214_354)
    assert stand(number, parts, plant(val)).reason == "split val, published for test-dev"
    unlabelled = make_cell("vqav2:test-dev", "vqa_accuracy", 0.5, 0, samples=90, total=90, unlabelled=90)
    standing = stand(number, parts, plant(unlabelled))
    assert (standing.verdict, standing.reason) == (Verdict.NOT_RUN, "no labelled samples")
    assert stand(number, parts, plant(unlabelled, val)).reason == "split val, published for test-dev"


def test_what_was_not_run_says_why(captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell) -> None:
    zero_shot = plant(make_cell("flickr30k_caption", "cider", 0.753, 1000))
    assert stand(captions, parts, zero_shot).reason == NO_RUN
    terms = Terms(missing={("flickr30k_caption", 4): "no train pictures"})
    missing = stand(captions, parts, zero_shot, terms=terms)
    assert (missing.verdict, missing.reason) == (Verdict.NOT_RUN, "no train pictures")
    other = stand(captions, parts, plant(make_cell("flickr30k_caption", "spice", 0.15, 1000, shots=4)))
    assert (other.verdict, other.reason, other.model) == (Verdict.NOT_RUN, "no metric cider", "planted")


def test_a_run_of_one_split_or_variant_never_stands_beside_the_number_of_another(
    kosmos_1: Paper, kosmos_2: Paper, parts_of: dict[str, Parts], plant: Plant, make_cell: MakeCell
) -> None:
    record = plant(
        make_cell("refcoco:val", "accuracy", 0.5, 10_834), make_cell("imagenet:constrained", "top1", 0.4, 99)
    )
    row = kosmos_2.table("3").rows[-1]
    assert stand(row.numbers["val"], parts_of["kosmos-2"], record).verdict is Verdict.DIFFERS
    assert stand(row.numbers["testA"], parts_of["kosmos-2"], record).verdict is Verdict.NOT_RUN
    names = kosmos_1.table("10").rows[-1]
    assert stand(names.numbers["free"], parts_of["kosmos-1"], record).verdict is Verdict.NOT_RUN
    assert stand(names.numbers["names"], parts_of["kosmos-1"], record).verdict is Verdict.NOT_COMPARABLE


def test_of_several_runs_the_best_fitting_is_taken(
    captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    mini = plant(make_cell("flickr30k_caption", "cider", 0.9, 100, shots=4, task="flickr30k_caption@mini"), began=9.0)
    subset = plant(make_cell("flickr30k_caption", "cider", 0.8, 100, 1000, shots=4), began=8.0)
    older = plant(make_cell("flickr30k_caption", "cider", 0.7, 1000, shots=4), began=2.0)
    newer = plant(make_cell("flickr30k_caption", "cider", 0.75, 1000, shots=4), began=3.0)
    assert stand(captions, parts, mini, subset, older, newer).run == str(newer.folder)
    assert stand(captions, parts, newer, older, mini).run == str(newer.folder)
    assert stand(captions, parts, mini, subset, older).run == str(older.folder)
    assert stand(captions, parts, mini, subset).run == str(subset.folder)
    assert stand(captions, parts, mini).run == str(mini.folder)


def test_the_first_of_several_trials_is_taken_and_said(
    captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    trials = [make_cell("flickr30k_caption", "cider", 0.75, 1000, shots=4, trial=trial) for trial in (0, 1)]
    standing = stand(captions, parts, plant(*reversed(trials)))
    assert standing.cell == "flickr30k_caption|4"
    assert "the first of 2 trials" in standing.notes


def test_a_margin_can_be_given_and_rounding_stays_within_it(
    captions: Number, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    record = plant(make_cell("flickr30k_caption", "cider", 0.753, 1000, shots=4))
    exact = stand(captions, parts, record, terms=Terms(margin=0))
    assert exact.verdict is Verdict.REPRODUCED
    assert exact.margin == pytest.approx(0.1)
    off = plant(make_cell("flickr30k_caption", "cider", 0.754, 1000, shots=4))
    assert stand(captions, parts, off, terms=Terms(margin=0)).verdict is Verdict.DIFFERS
    assert stand(captions, parts, off).verdict is Verdict.REPRODUCED


def test_a_model_that_is_said_to_be_tuned_is_compared_with_tuned_ones_alone(
    kosmos_1: Paper, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    record = plant(make_cell("raven:test", "accuracy", 0.22, 50))
    tuned, untuned = kosmos_1.table("6").own
    said = Terms(tuning="tuned")
    assert stand(tuned, parts, record, terms=said).verdict is Verdict.REPRODUCED
    assert stand(untuned, parts, record).verdict is Verdict.DIFFERS
    other = stand(untuned, parts, record, terms=said)
    assert (other.verdict, other.reason) == (Verdict.NOT_COMPARABLE, "a model that is tuned on instructions")


def test_an_average_is_of_its_column_and_no_better_than_its_worst(
    kosmos_1: Paper, parts: Parts, plant: Plant, make_cell: MakeCell
) -> None:
    table = kosmos_1.table("13")
    cells = [
        make_cell(number.protocol.part, "acc", number.value / 100, number.protocol.samples or 0)
        for row in table.rows
        if (number := row.numbers["own-0"]).protocol is not None
    ]
    last = len(table.rows) - 1
    whole = judge_table(table, [plant(*cells)], parts, Terms())[last, "own-0"]
    assert whole.verdict is Verdict.REPRODUCED
    assert whole.value == pytest.approx(60.5, abs=0.2)
    assert whole.low is not None
    assert whole.value is not None
    assert 1 < whole.value - whole.low < 3
    lacking = judge_table(table, [plant(*cells[1:])], parts, Terms())[last, "own-0"]
    assert (lacking.verdict, lacking.reason) == (Verdict.NOT_RUN, "not run: StoryCloze")
    mini = make_cell("story_cloze", "acc", 0.7, 99, task="story_cloze@mini")
    other = judge_table(table, [plant(mini, *cells[1:])], parts, Terms())[last, "own-0"]
    assert (other.verdict, other.reason) == (Verdict.NOT_COMPARABLE, "not comparable: StoryCloze")


def test_a_model_is_named_by_its_checkpoint_if_it_has_one() -> None:
    assert model_name({"model": {"name": "kosmos"}, "config": {"model_args": {"pretrained": "a/b"}}}) == "a/b"
    assert model_name({"model": {"name": "kosmos-tiny"}, "config": {}}) == "kosmos-tiny"
    assert model_name({}) == "unnamed model"
