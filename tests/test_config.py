"""A configuration says what is wrong with it, and where: unknown keys and bad values never pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.config import IDENTITY, RunConfig, parse_config, read_config_file
from kosmos_eval.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def parsed(**values: object) -> RunConfig:
    return parse_config({"tasks": ["vqav2"], **values}, "here")


def test_the_defaults_need_nothing_but_tasks() -> None:
    config = parsed()
    assert (config.shots, config.model, config.data, config.limit, config.seed) == ((0,), "kosmos-tiny", None, None, 0)


def test_a_configuration_comes_back_from_json_as_it_was() -> None:
    config = parsed(shots=[0, 4], limit=0.5, settings={"vqav2": {"split": "val"}}, model_args={"a": "1"}, batch_size=3)
    assert parse_config(json.loads(config.model_dump_json()), "there") == config


def test_what_is_named_twice_is_run_once_in_the_order_of_naming() -> None:
    config = parse_config({"tasks": ["b", "a", "b"], "shots": [4, 0, 4]}, "here")
    assert (config.tasks, config.shots) == (("b", "a"), (4, 0))


def test_an_unknown_key_is_refused_and_the_nearest_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no setting in here named 'shot'; did you mean 'shots'"):
        parsed(shot=[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": []}, "here: tasks: .*at least 1"),
        ({"tasks": "vqav2"}, "here: tasks: .*got 'vqav2'"),
        ({"shots": [-1]}, r"here: shots\.0: .*got -1"),
        ({"shots": ["x"]}, r"here: shots\.0: .*got 'x'"),
        ({"limit": 0}, "here: limit: .*got 0"),
        ({"limit": -3}, "here: limit: .*got -3"),
        ({"limit": 1.5}, "here: limit: expected a whole number of samples or a share below 1, got 1.5"),
        ({"limit": float("inf")}, "here: limit: expected a whole number of samples or a share below 1, got inf"),
        ({"limit": float("nan")}, "here: limit: .*got nan"),
        ({"sample_order": "last"}, "here: sample_order: .*got 'last'"),
        ({"exemplars": "none"}, "here: exemplars: .*got 'none'"),
        ({"seed": 1.5}, "here: seed: .*got 1.5"),
        ({"trials": 0}, "here: trials: .*got 0"),
        (
            {"trials": 3, "trial_seeds": [1, 2]},
            r"here: trial_seeds: expected a seed for each of 3 trials, got \[1, 2\]",
        ),
        ({"trial_seeds": [1, 1]}, r"here: trial_seeds: expected seeds that differ, got \[1, 1\]"),
        ({"trial_seeds": []}, r"here: trial_seeds: .*got \[\]"),
        ({"trial_seeds": ["x"]}, r"here: trial_seeds\.0: .*got 'x'"),
        ({"dtype": "int8"}, "here: dtype: .*got 'int8'"),
        ({"batch_size": 0}, "here: batch_size: .*got 0"),
        ({"settings": {"vqav2": 3}}, r"here: settings\.vqav2: .*got 3"),
        ({"report": None}, "here: report: .*got None"),
    ],
)
def test_a_bad_value_is_refused_with_its_place_on_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parsed(**values)
    assert "\n" not in str(refused.value)


def test_seeds_make_trials_and_trials_make_seeds() -> None:
    assert parsed().exemplar_seeds == (0,)
    assert parsed(seed=5, trials=3).exemplar_seeds == (5, 6, 7)
    given = parsed(trial_seeds=[3, 9])
    assert (given.trials, given.exemplar_seeds) == (2, (3, 9))
    assert parse_config(given.model_dump(mode="json"), "there") == given


def test_what_is_measured_is_named_by_fields_that_exist() -> None:
    assert set(IDENTITY) < set(RunConfig.model_fields)


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_in_a_file_a_dash_is_an_underscore(tmp_path: Path) -> None:
    path = written(tmp_path, "tasks: [vqav2]\nsample-order: first\nbatch_size: 4\n")
    assert read_config_file(path) == {"tasks": ["vqav2"], "sample_order": "first", "batch_size": 4}


def test_a_json_file_is_read_as_well(tmp_path: Path) -> None:
    assert read_config_file(written(tmp_path, '{"tasks": ["vqav2"], "limit": 0.5}'))["limit"] == 0.5


@pytest.mark.parametrize("text", ["tasks: [", "\t", "a: b: c"])
def test_a_file_that_is_no_yaml_is_refused_on_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"--config .*run\.yaml: cannot be read") as refused:
        read_config_file(written(tmp_path, text))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "- vqav2", "3"])
def test_a_file_without_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="expected a mapping such as 'tasks:"):
        read_config_file(written(tmp_path, text))


def test_a_file_that_is_missing_a_folder_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_config_file(path)
