"""Two runs are compared over the samples that they share, and only where they measured the same thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kosmos_eval.compare import compare, compare_cells
from kosmos_eval.corpus import Summed, mean_of
from kosmos_eval.errors import UnknownNameError
from kosmos_eval.measurements import Measurements, Origin
from kosmos_eval.record import CellResult, MetricResult

ACCURACY = MetricResult("accuracy", 0.5, None, None, None, 4, 4, 0, 0)
PRINTS = {"data": "d", "prompts": "p", "scorer": "1:s"}
CELL = CellResult("toy@mini", 4, 1, "val", (ACCURACY,), {}, 4, 4, 0, {"prompt": "short"}, PRINTS, exemplar_seed=0)
ORIGIN = Origin("runs/a", "m", "w", "float32", "per-sample")
KEYS = ("a", "b", "c", "d")


_OF_CELL = {*CellResult.__dataclass_fields__} - {"failed"}


def measured(
    worth: tuple[float | None, ...] = (1.0, 0.0, 1.0, 0.0),
    keys: tuple[str, ...] = KEYS,
    **more: Any,  # noqa: ANN401  any field of a cell or of measurements
) -> Measurements:
    of_cell = {name: more.pop(name) for name in _OF_CELL & {*more}}
    fields: dict[str, Any] = {
        "cell": replace(CELL, samples=len(keys), **of_cell),
        "keys": keys,
        "contents": tuple(f"content {key}" for key in keys),
        "clusters": ("",) * len(keys),
        "answers": tuple(f"{key}{value}" for key, value in zip(keys, worth, strict=True)),
        "values": {"accuracy": worth},
        "measured": tuple(place for place, value in enumerate(worth) if value is not None),
        "asked": tuple(f"asked {key}" for key in keys),
        "targets": tuple(f"truth {key}" for key in keys),
        "origin": ORIGIN,
    }
    return Measurements(**{**fields, **more})


BASE = measured()
OTHER = measured((1.0, 1.0, 1.0, 1.0))


def test_a_metric_is_compared_over_the_common_samples() -> None:
    found = compare_cells(BASE, OTHER)
    (metric,) = found.metrics
    assert (found.refused, found.common, found.notes) == ((), 4, ())
    assert (metric.base, metric.other, metric.difference.value, metric.difference.count) == (0.5, 1.0, 0.5, 4)
    assert metric.detectable is not None
    assert metric.detectable > 0
    assert found.main is metric


def test_samples_pair_by_key_in_whatever_order_they_are() -> None:
    turned = measured((1.0, 1.0, 0.0, 1.0), ("d", "c", "b", "a"))
    found = compare_cells(BASE, turned)
    assert found.metrics[0].difference.value == 0.25
    assert [(flip.key, flip.base, flip.other) for flip in found.gained] == [("d", 0.0, 1.0)]
    assert found.lost == ()


def test_flips_show_both_answers_and_the_truth() -> None:
    (gained, _), lost = (
        compare_cells(BASE, measured((0.0, 1.0, 1.0, 1.0))).gained,
        compare_cells(BASE, measured((0.0,) * 4)).lost,
    )
    assert (gained.key, gained.before, gained.after, gained.target) == ("b", "b0.0", "b1.0", "truth b")
    assert [flip.key for flip in lost] == ["a", "c"]


def test_a_gain_is_a_fall_where_lower_is_better() -> None:
    metrics = (replace(ACCURACY, higher_is_better=False),)
    found = compare_cells(measured(metrics=metrics), measured((0.0,) * 4, metrics=metrics))
    assert [flip.key for flip in found.gained] == ["a", "c"]
    assert found.lost == ()


def test_samples_of_one_run_only_are_counted_and_left_out() -> None:
    subset = measured((1.0, 1.0, 1.0), ("c", "b", "e"), total=9)
    found = compare_cells(BASE, subset)
    assert (found.common, found.only_base, found.only_other) == (2, 2, 1)
    assert (found.metrics[0].base, found.metrics[0].other) == (0.5, 1.0)
    assert "the other run: subset: 3 of 9 samples" in found.notes
    assert "the split has 4 samples in one run and 9 in the other" in found.notes


def test_a_sample_that_failed_in_one_run_is_in_neither_and_counted() -> None:
    failed = measured((None, 1.0, 1.0, None), failed=frozenset({"a"}))
    found = compare_cells(BASE, failed)
    assert (found.common, found.failed, found.unlabelled) == (2, 1, 1)
    assert found.metrics[0].base == 0.5


def test_an_unparsed_answer_earns_what_it_earned() -> None:
    found = compare_cells(BASE, measured((0.0, 0.0, 1.0, 0.0), answers=(None, "b", "c", "d")))
    assert (found.common, found.metrics[0].difference.value) == (4, -0.25)
    assert found.lost[0].after is None


UNLIKE: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "content": ({"contents": ("content a", "other", "content c", "content d")}, ("the data",), "data"),
    "split": ({"split": "test"}, ("the data",), "data"),
    "source": ({"task": "toy"}, ("the data",), "data"),
    "asked": ({"asked": ("asked a", "x", "asked c", "asked d")}, ("the prompts",), "prompts"),
    "scorer": ({"fingerprints": {**PRINTS, "scorer": "1:t"}}, ("the scorer",), "scorer"),
    "version": ({"version": 2}, ("the scorer",), "scorer"),
    "shots": ({"shots": 2, "asked": ("w", "x", "y", "z")}, ("the shots", "the prompts"), "shots"),
    "settings": (
        {"settings": {"prompt": "long"}, "asked": ("w", "x", "y", "z")},
        ("the settings", "the prompts"),
        "settings",
    ),
    "seed": ({"exemplar_seed": 1, "asked": ("w", "x", "y", "z")}, ("the exemplars", "the prompts"), "exemplars"),
    "policy": ({"origin": replace(ORIGIN, exemplars="fixed")}, ("the exemplars",), "exemplars"),
    "control": ({"control": "image=none", "asked": ("w", "x", "y", "z")}, ("the control", "the prompts"), "control"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_unlike_cells_are_refused_by_name_unless_that_is_the_point(case: str) -> None:
    change, names, point = UNLIKE[case]
    other = measured((1.0,) * 4, **change)
    for found in (
        compare_cells(BASE, other),
        compare_cells(other, BASE),
        compare_cells(BASE, other, point=frozenset({"model"})),
    ):
        assert {*found.refused} == {*names}
        assert len(found.reasons) == len(found.refused)
        assert all(reason.startswith(name) for reason, name in zip(found.reasons, found.refused, strict=True))
        assert not found.compared
    assert compare_cells(BASE, other, point=frozenset({point})).metrics[0].difference.value == 0.5


def test_reasons_name_what_differs_and_the_cure() -> None:
    found = compare_cells(BASE, measured(settings={"prompt": "long", "new": 1}))
    cure = "(kosmos-eval compare --point settings compares them all the same)"
    assert found.reasons == (f'the settings: prompt "short" and "long"; new not there and 1 {cure}',)
    found = compare_cells(BASE, measured(contents=("content a", "x", "y", "content d")))
    assert found.reasons[0].startswith("the data: 2 of 4 common samples have another content, the first is 'b'")


def test_other_weights_and_dtype_are_no_reason_to_refuse() -> None:
    found = compare_cells(BASE, measured(origin=Origin("runs/b", "n", "x", "bfloat16", "per-sample")))
    assert (found.refused, found.notes) == ((), ("computed in float32 and in bfloat16",))


def test_another_task_is_never_the_point() -> None:
    found = compare_cells(BASE, measured(task="other@mini"), point=frozenset({"data", "settings", "scorer"}))
    assert found.refused == ("the task",)


def test_runs_without_a_common_sample_are_refused() -> None:
    found = compare_cells(BASE, measured(keys=("w", "x", "y", "z")))
    assert (found.refused, found.only_base, found.only_other) == (("the data",), 4, 4)


def test_a_record_without_each_prompt_is_told_by_its_fingerprint() -> None:
    assert compare_cells(BASE, measured(asked=())).refused == ()
    other = measured(asked=(), fingerprints={**PRINTS, "prompts": "q"})
    assert compare_cells(BASE, other).refused == ("the prompts",)


def test_what_may_differ_is_one_of_the_known_things() -> None:
    with pytest.raises(UnknownNameError, match="no point of a comparison named 'prompt'; did you mean 'prompts'"):
        compare_cells(BASE, OTHER, point=frozenset({"prompt"}))


BLEU = replace(ACCURACY, name="bleu")


def corpus(parts: tuple[float, ...], form: str = "ratio", **more: Any) -> Measurements:  # noqa: ANN401  passed on
    given = {"metrics": (BLEU, ACCURACY), "corpus": {"bleu": mean_of(np.array(parts), form)}}
    return measured(**{**given, **more})


def test_a_corpus_metric_is_compared_from_what_it_is_made_of() -> None:
    found = compare_cells(corpus((0.1, 0.2, 0.3, 0.4)), corpus((0.2, 0.3, 0.5, 0.6)))
    assert [metric.name for metric in found.metrics] == ["bleu", "accuracy"]
    bleu = found.metrics[0]
    assert [bleu.base, bleu.other] == pytest.approx([0.25, 0.4])
    assert bleu.difference.value == pytest.approx(0.15)
    assert (found.headline, found.flipped) == ("bleu", "accuracy")


def test_a_corpus_metric_is_had_over_the_common_samples_alone() -> None:
    part = corpus((0.6, 0.5), worth=(1.0, 1.0), keys=("d", "c"))
    (bleu, _) = compare_cells(corpus((0.1, 0.2, 0.3, 0.4)), part).metrics
    assert [bleu.base, bleu.other] == pytest.approx([0.35, 0.55])


def test_what_depends_on_the_other_samples_is_not_compared_among_others() -> None:
    part = corpus((0.6, 0.5), "cider", worth=(1.0, 1.0), keys=("d", "c"))
    found = compare_cells(corpus((0.1, 0.2, 0.3, 0.4), "cider"), part)
    assert [metric.name for metric in found.metrics] == ["accuracy"]
    assert found.main is None
    assert "a sample's worth depends on the others of its run" in found.missing["bleu"]
    assert compare_cells(corpus((0.1,) * 4, "cider"), corpus((0.2,) * 4, "cider")).missing == {}


def test_a_metric_that_a_record_cannot_hold_is_refused_by_name() -> None:
    unkept: dict[str, Any] = {"corpus": {}, "unkept": {"bleu": "make it with rescore"}}
    found = compare_cells(corpus((0.1,) * 4, **unkept), corpus((0.1,) * 4))
    assert found.missing == {"bleu": "in the base run: make it with rescore"}
    both = compare_cells(corpus((0.1,) * 4, **unkept), corpus((0.1,) * 4, **unkept))
    assert both.missing == {"bleu": "in both runs: make it with rescore"}
    assert found.refused == ()
    assert [metric.name for metric in found.metrics] == ["accuracy"]


def test_own_values_stand_in_for_a_form_of_one_s_own_and_say_so() -> None:
    unkept: dict[str, Any] = {"corpus": {}, "unkept": {"bleu": "a form of its own"}}
    own = [{"accuracy": (1.0,) * 4, "bleu": values} for values in ((0.1, 0.2, 0.3, 0.4), (0.2, 0.2, 0.3, 0.5))]
    found = compare_cells(*(corpus((0.0,) * 4, **unkept, values=values) for values in own))
    assert (found.metrics[0].name, found.metrics[0].own_values, found.missing) == ("bleu", True, {})
    assert found.metrics[0].difference.value == pytest.approx(0.05)


def test_a_metric_that_the_other_run_lacks_is_named() -> None:
    found = compare_cells(corpus((0.1,) * 4), measured())
    assert found.missing == {"bleu": "the other run has no such metric"}


def test_nothing_scored_is_nothing_compared() -> None:
    found = compare_cells(BASE, measured((None,) * 4))
    assert (found.compared, found.common, found.missing) == (False, 0, {"accuracy": "no sample was scored in both"})


def test_an_undefined_corpus_metric_has_no_value() -> None:
    whole = Summed(np.zeros((4, 2)), "ratio")
    (bleu, _) = compare_cells(corpus((0.1,) * 4), corpus((0.1,) * 4, corpus={"bleu": whole})).metrics
    assert bleu.base == pytest.approx(0.1)
    assert (bleu.other, bleu.difference.value) == (None, None)


def named(task: str, shots: int, values: tuple[float, ...] = (1.0, 0.0, 1.0, 0.0), **more: Any) -> Measurements:  # noqa: ANN401  passed on
    return measured(values, task=task, shots=shots, **more)


def test_cells_pair_by_name_and_the_others_are_listed() -> None:
    found = compare([named("x", 0), named("y", 0), named("y", 4)], [named("y", 4), named("z", 0), named("x", 0)])
    assert [(cell.base, cell.other) for cell in found.cells] == [("x|0", "x|0"), ("y|4", "y|4")]
    assert (found.only_base, found.only_other) == (("y|0",), ("z|0",))


def test_cells_of_other_shots_pair_where_shots_are_the_point() -> None:
    cells = [named("x", 0)], [named("x", 2), named("x", 4), named("y", 4)]
    assert compare(*cells).cells == ()
    found = compare(*cells, point=frozenset({"shots"}))
    assert [(cell.base, cell.other) for cell in found.cells] == [("x|0", "x|2"), ("x|0", "x|4")]
    assert found.only_other == ("y|4",)
    again = compare([named("x", 0), named("x", 4)], [named("x", 0), named("x", 4)], point=frozenset({"shots"}))
    assert [(cell.base, cell.other) for cell in again.cells] == [("x|0", "x|0"), ("x|4", "x|4")]


def test_a_cell_pairs_with_its_control_where_that_is_the_point() -> None:
    found = compare([named("x", 0)], [named("x", 0, control="image=none")], point=frozenset({"control"}))
    assert [(cell.base, cell.other) for cell in found.cells] == [("x|0", "x|0~image=none")]
    assert found.compared


def test_p_values_are_corrected_over_the_headlines_of_all_cells() -> None:
    many = tuple(f"k{number}" for number in range(40))
    flat, better = (0.0,) * 40, (1.0,) * 12 + (0.0,) * 28
    pairs = [named(task, 0, flat, keys=many) for task in "xyz"], [named(task, 0, better, keys=many) for task in "xyz"]
    for cell in compare(*pairs).cells:
        metric = cell.metrics[0]
        assert metric.difference.p_value is not None
        assert metric.adjusted == pytest.approx(3 * metric.difference.p_value)


def test_trials_are_compared_each_and_their_spread_stands_beside() -> None:
    others = [named("x", 4, values, trial=trial) for trial, values in enumerate([(1.0,) * 4, (1.0, 0.0, 1.0, 1.0)])]
    found = compare([named("x", 4, trial=trial) for trial in (0, 1)], others)
    assert [cell.base for cell in found.cells] == ["x|4", "x|4#2"]
    assert found.trials["x|4"].values == (0.5, 0.25)
    assert found.trials["x|4"].mean == 0.375
