from __future__ import annotations

import shlex

from kosmos_eval.config import RunConfig
from kosmos_eval.reports.command import FLAGS, run_command


def test_every_field_of_the_configuration_has_its_flag() -> None:
    from kosmos_eval.cli.run import run  # noqa: PLC0415  the command line is needed here alone

    known = {option for parameter in run.params for option in parameter.opts}
    assert FLAGS.keys() == RunConfig.model_fields.keys()
    assert set(FLAGS.values()) <= known


def test_command_spells_what_is_set_and_nothing_else() -> None:
    config = RunConfig(
        tasks=("vqav2", "raven"),
        shots=(0, 4),
        limit=100,
        model="my model",
        model_args={"path": "x", "size": "2"},
        settings={"vqav2": {"split": "val", "beams": 5}},
        include_path=("one", "two"),
    )
    words = shlex.split(run_command(config.model_dump(mode="json")))
    flags: dict[str, list[str]] = {}
    for flag, value in zip(words[2::2], words[3::2], strict=True):
        flags.setdefault(flag, []).append(value)
    assert words[:2] == ["kosmos-eval", "run"]
    assert flags["--tasks"] == ["vqav2,raven"]
    assert flags["--shots"] == ["0,4"]
    assert flags["--limit"] == ["100"]
    assert flags["--model"] == ["my model"]
    assert flags["--model_args"] == ["path=x,size=2"]
    assert flags["--set"] == ['vqav2.split="val"', "vqav2.beams=5"]
    assert flags["--include_path"] == ["one", "two"]
    assert "--batch_size" not in flags
    assert "--data" not in flags


def test_no_tasks_is_no_command() -> None:
    assert run_command({}) == ""
