"""A corpus metric that is kept by form and statistics is the same metric when it is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kosmos_eval.corpus import Part, Summed, mean_of
from kosmos_eval.metrics.captions.ngrams import bleu, cider, rouge_l
from kosmos_eval.metrics.forms import COMBINED, OF_ONE_CORPUS, ROC_AUC, Kept, kept, weighed_of
from kosmos_eval.metrics.macro_f1 import macro_f1
from kosmos_eval.metrics.roc_auc import RocAuc

if TYPE_CHECKING:
    from kosmos_eval.corpus import Weighed

GIVEN = ["a red dog runs", "two cats", "a blue bird", "grass"]
KNOWN = [["a red dog", "the dog runs"], ["two cats sit"], ["a bird is blue", "blue bird"], ["green grass"]]
WEIGHTS = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 3.0], [0.0, 1.0, 1.0, 0.0]])
METRICS: dict[str, Weighed | None] = {
    **{f"bleu-{n}": score.weighed for n, score in enumerate(bleu(GIVEN, KNOWN), start=1)},
    "cider": cider(GIVEN, KNOWN).weighed,
    "ratio": rouge_l(GIVEN, KNOWN).weighed,
    "macro-f1": macro_f1([(0, 0), (1, 2), (2, None), (1, 1)], labels=3).weighed,
    "roc-auc": RocAuc([0.1, -np.inf, 0.8, 0.8], [False, False, True, False]),
    "meteor": Summed(np.random.default_rng(1).integers(1, 9, (4, 24)).astype(np.float64), "meteor"),
}


@pytest.mark.parametrize("form", METRICS)
def test_what_is_kept_makes_the_same_metric(form: str) -> None:
    whole = METRICS[form]
    assert whole is not None
    held = kept(whole)
    assert held is not None
    assert held.form == form
    again = weighed_of(Kept(held.form, np.array(held.statistics.tolist())))
    assert again.count == 4
    np.testing.assert_array_equal(again.values(WEIGHTS), whole.values(WEIGHTS))


def test_every_form_has_its_test() -> None:
    assert {*METRICS, "exp-ratio", "matthews"} == {*COMBINED, ROC_AUC}


def test_only_cider_depends_on_the_other_samples() -> None:
    assert {"cider"} == OF_ONE_CORPUS
    alone = cider(GIVEN[:2], KNOWN[:2]).own
    among = cider(GIVEN, KNOWN).own
    assert alone is not None
    assert among is not None
    assert not np.allclose(alone, among[:2])


def test_a_form_of_one_s_own_is_not_kept() -> None:
    assert kept(Summed(np.ones((3, 1)), lambda sums: sums[:, 0])) is None
    assert kept(Part(mean_of(np.ones(3)), np.array([0, 1]))) is None


def test_no_weight_at_all_is_not_a_number() -> None:
    assert np.isnan(mean_of(np.ones(2)).values(np.zeros((1, 2)))).all()


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (Kept("os.system", np.ones((2, 2))), "expected one of the forms ratio, .*, got 'os.system'"),
        (Kept("ratio", np.ones((2, 3))), "statistics of ratio to be as wide as it takes"),
        (Kept("bleu-4", np.ones((2, 10))), "statistics of bleu-4 to be as wide"),
        (Kept("macro-f1", np.ones((2, 4))), "statistics of macro-f1 to be as wide"),
        (Kept("ratio", np.ones(2)), "statistics of ratio to be as wide"),
        (Kept("ratio", np.array([[np.nan, 1.0]])), "statistics of ratio to be numbers"),
        (Kept("ratio", np.array([[np.inf, 1.0]])), "statistics of ratio to be numbers"),
        (Kept("roc-auc", np.array([[0.5, 0.5]])), "labels of roc-auc to be 0 or 1"),
    ],
)
def test_what_is_no_metric_is_refused(held: Kept, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighed_of(held)
