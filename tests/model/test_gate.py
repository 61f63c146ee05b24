"""A model whose weights were really made worse is caught, and the same model asked another way passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kosmos_eval.cli import main
from kosmos_eval.model.specs import embedded_folder
from kosmos_eval.record import load
from kosmos_eval.run import evaluate

if TYPE_CHECKING:
    from typing import Any

SAMPLES = 120
SHARE = 0.3
"""Of a matrix's own spread, added to it as noise: costs kosmos-tiny some 8 points of vqav2@mini."""


def run(folder: Path, model: Path | str, **settings: Any) -> Path:  # noqa: ANN401  whatever RunConfig has a field for
    told = {"data": "mini", "limit": SAMPLES, "report": [], **settings}
    return evaluate(tasks="vqav2", model=str(model), output_path=folder, **told).folder


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("gate") / "base", "kosmos-tiny")


@pytest.fixture
def worse_model(tmp_path: Path) -> Path:
    return worsened(tmp_path, SHARE)


def worsened(tmp_path: Path, share: float) -> Path:
    folder = Path(shutil.copytree(embedded_folder("kosmos-tiny"), tmp_path / "worse"))
    weights, generator = load_file(folder / "model.safetensors"), torch.Generator().manual_seed(0)
    for name in sorted(weights):
        tensor = weights[name]
        if tensor.is_floating_point() and tensor.ndim > 1:
            noise = torch.randn(tensor.shape, generator=generator) * share * tensor.float().std()
            weights[name] = (tensor.float() + noise).to(tensor.dtype)
    with safe_open(embedded_folder("kosmos-tiny") / "model.safetensors", "pt") as file:
        save_file(weights, folder / "model.safetensors", metadata=file.metadata())
    return folder


def gate(run_folder: Path, baseline: Path, out: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main(["gate", str(run_folder), "--baseline", str(baseline), "--json", str(out), *flags])
    return int(ended.value.code or 0), json.loads(out.read_text(encoding="utf-8"))


def test_weights_made_worse_are_a_regression(baseline: Path, worse_model: Path, tmp_path: Path) -> None:
    code, found = gate(run(tmp_path / "run", worse_model), baseline, tmp_path / "gate.json")
    metric = found["cells"][0]["metrics"][0]
    assert metric["change"] < -0.03
    assert (code, found["verdict"]) == (1, "regression")


def test_a_run_that_the_gate_follows_stops_once_the_regression_is_certain(baseline: Path, tmp_path: Path) -> None:
    policy = tmp_path / "gate.toml"
    policy.write_text("tolerance = 1")
    policy_and_base = {"gate": str(policy), "baseline": str(baseline)}
    folder = run(tmp_path / "run", worsened(tmp_path, 1.0), **policy_and_base)
    (cell,) = load(folder).cells
    assert cell.stopped is not None
    assert (cell.stopped.verdict, cell.stopped.planned) == ("regression", SAMPLES)
    assert cell.samples < SAMPLES
    code, found = gate(folder, baseline, tmp_path / "gate.json", "--policy", str(policy))
    assert (code, found["verdict"]) == (1, "regression")


def test_the_same_weights_at_another_batch_size_pass(baseline: Path, tmp_path: Path) -> None:
    code, found = gate(run(tmp_path / "run", "kosmos-tiny", batch_size=7), baseline, tmp_path / "gate.json")
    assert (code, found["verdict"]) == (0, "pass")


def test_another_prompt_is_not_comparable(baseline: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "run", "kosmos-tiny", limit=20, settings={"vqav2": {"separator": "\n"}})
    code, found = gate(other, baseline, tmp_path / "gate.json")
    assert (code, found["verdict"]) == (3, "not comparable")
