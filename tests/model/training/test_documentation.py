"""The examples of docs/training.md run as they stand, but for the number of steps."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from kosmos_eval.microworld.captions import make_captions
from kosmos_eval.microworld.drawing import draw_scene
from kosmos_eval.microworld.scene import Scene, make_scene
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.training.config import read_config
from kosmos_eval.model.training.curve import METRICS, Curve
from kosmos_eval.model.training.loop import Trainer

PAGE = Path(__file__).parents[3] / "docs" / "training.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the pages are part of the source tree")
SCENES = [make_scene(f"own|{number}") for number in range(6)]


def _example(name: str, folder: Path) -> Path:
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    text = next(block for block in blocks if block.startswith(f"# {name}\n"))
    assert "steps = 500\n" in text
    path = folder / name
    path.write_text(text.replace("steps = 500\n", "steps = 2\n").replace("tokens = 600\n", "tokens = 60\n"))
    return path


def _png(scene: Scene) -> bytes:
    file = io.BytesIO()
    draw_scene(scene).save(file, "png")
    return file.getvalue()


def _make_shards(folder: Path) -> None:
    (folder / "shards").mkdir()
    for number in range(2):
        with tarfile.open(folder / "shards" / f"{number:04d}.tar", "w") as tar:
            for key, scene in enumerate(SCENES[3 * number : 3 * number + 3]):
                caption = json.dumps({"caption": make_captions(scene)[0]}).encode()
                for extension, data in (("png", _png(scene)), ("json", caption)):
                    member = tarfile.TarInfo(f"{key:06d}.{extension}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def _make_dataset(folder: Path) -> None:
    (folder / "pictures" / "train").mkdir(parents=True)
    lines = []
    for number, scene in enumerate(SCENES):
        (folder / "pictures" / "train" / f"{number}.png").write_bytes(_png(scene))
        row = {"file_name": f"{number}.png", "question": "How many things are there?", "answer": str(len(scene.things))}
        lines.append(json.dumps(row))
    (folder / "pictures" / "train" / "metadata.jsonl").write_text("\n".join(lines))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Curve, "draw", lambda *_, **__: None)


@pytest.mark.parametrize("name", ["mine.toml", "mixed.toml"])
def test_an_example_trains_a_model_on_own_pictures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "mine.toml":
        _make_shards(tmp_path)
    else:
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
        _make_dataset(tmp_path)
    trainer = Trainer(read_config(_example(name, tmp_path)), tmp_path / "run")
    folder = trainer.train()
    assert "own: 6 records; " in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert 0 < lines[-1]["loss of own"] < 10
    assert load_kosmos(folder).model.config == trainer.learner.model.config
