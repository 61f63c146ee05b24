from __future__ import annotations

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.language import BENCHMARKS, ROWS, language_rows


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_rows_are_fixed_and_no_two_of_all_splits_are_alike(benchmark: str) -> None:
    splits = {split: language_rows(benchmark, split) for split in ("train", "validation", "test")}
    assert [len(rows) for rows in splits.values()] == [ROWS] * 3
    contents = [repr(row) for rows in splits.values() for _, row in rows]
    assert len(set(contents)) == len(contents)
    assert len({key for rows in splits.values() for key, _ in rows}) == len(contents)
    assert language_rows(benchmark, "train") == splits["train"]


def test_the_place_of_the_right_candidate_tells_nothing() -> None:
    for benchmark, column in [("piqa", "label"), ("copa", "label"), ("winogrande", "answer"), ("hellaswag", "label")]:
        labels = [row[column] for _, row in language_rows(benchmark, "validation")]
        shares = [labels.count(each) / len(labels) for each in set(labels)]
        assert max(shares) < 1.3 / len(shares), benchmark


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="split 'val': expected the embedded data's train, validation, test"):
        language_rows("piqa", "val")
