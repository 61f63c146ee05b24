"""`ls` and `describe` say how lm-eval's tasks are run, and what a folder's YAML files bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval

SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {train: sums.jsonl, test: sums.jsonl}}
output_type: OUTPUT
training_split: train
test_split: test
doc_to_text: "{{context}}"
doc_to_target: "{{completion}}"
num_fewshot: 5
metric_list:
  - {metric: METRIC}
"""
ROWS = '{"context": "1 + 1 =", "completion": "2"}\n{"context": "2 + 1 =", "completion": "3"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.jsonl").write_text(ROWS, encoding="utf-8")
    return tmp_path


def _write(folder: Path, output: str, metric: str) -> None:
    text = SUMS.replace("OUTPUT", output).replace("METRIC", metric)
    (folder / "sums.yaml").write_text(text, encoding="utf-8")


def test_tasks_of_the_folder_are_listed_and_a_line_says_how_others_are_run(kosmos_eval: Command, folder: Path) -> None:
    _write(folder, "loglikelihood", "acc")
    *_, own, others = kosmos_eval("ls", "--include-path", folder).out.splitlines()
    assert own.split(maxsplit=1) == ["lm_eval:sums", "a text task of the folder's YAML files"]
    assert others.split(maxsplit=1) == ["lm_eval:NAME", "any text task, group or tag of lm-eval, see docs/lm-eval.md"]
    assert "lm_eval" not in kosmos_eval("ls", "models").out


def test_a_task_is_described_with_its_metrics_and_a_prompt_of_its_own_data(kosmos_eval: Command, folder: Path) -> None:
    _write(folder, "loglikelihood", "acc")
    shown = kosmos_eval("describe", "lm_eval:sums", "--include-path", folder)
    assert shown.code == 0, shown.err
    assert "lm-eval's sums (loglikelihood; lm-eval runs it with 5 shots)." in shown.out
    assert "  acc  lm-eval's acc, aggregated by mean (higher is better)\n" in shown.out
    assert "\nsettings" not in shown.out
    assert shown.out.endswith("a prompt, 1-shot:\n  2 + 1 = 3\n\n1 + 1 =\n     [2]\n")


def test_what_takes_no_exemplars_is_described_without(kosmos_eval: Command, folder: Path) -> None:
    _write(folder, "loglikelihood_rolling", "byte_perplexity")
    shown = kosmos_eval("describe", "lm_eval:sums", "--include-path", folder)
    assert "\nexemplars: none, as a text that is scored whole has none\n\na prompt, 0-shot:\n" in shown.out
    assert "aggregated by weighted_perplexity (lower is better)" in shown.out
