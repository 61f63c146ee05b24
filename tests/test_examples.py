from __future__ import annotations

from pathlib import Path

import pytest

from kosmos_eval.run import evaluate

BLIND = Path(__file__).parent.parent / "examples" / "blind"


@pytest.mark.skipif(not BLIND.exists(), reason="the examples are part of the source tree")
def test_the_blind_control_asks_the_same_without_pictures(tmp_path: Path, plugins_folder: Path) -> None:
    record = evaluate(
        tasks=["vqav2", "vqav2-blind"],
        model="scripted",
        shots=2,
        limit=5,
        include_path=[str(plugins_folder), str(BLIND)],
        output_path=tmp_path / "run",
        report=[],
    )
    seeing, blind = record.cells
    prompts = {sample.key: sample.exchanges[0] for sample in record.samples(seeing)}
    asked = [sample.exchanges[0] for sample in record.samples(blind)]
    assert all(len(exchange.images) == 3 for exchange in prompts.values())
    assert [exchange.images for exchange in asked] == [()] * 5
    assert all(exchange.prompt.count("Question:") == 3 for exchange in asked)
