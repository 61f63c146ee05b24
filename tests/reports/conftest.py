from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.record import CellResult, Exchange, MetricResult, RunRecord, SampleRecord
from kosmos_eval.request import Failed, Generated, LogLikelihood, Scored, response_to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

METRIC = MetricResult("accuracy", 0.55, 0.45, 0.65, 0.05, 100, 80, 2, 1, chance=0.25)
RUN: dict[str, Any] = {
    "schema": 1,
    "config": {"tasks": ["puzzle"], "shots": [0], "model": "kosmos-tiny", "data": "mini", "seed": 7, "device": "auto"},
    "model": {"name": "kosmos-tiny", "fingerprint": "5e" * 32, "facts": {"device": "cpu", "dtype": "float32"}},
    "environment": {"kosmos-eval": "0.1.0", "python": "3.11"},
    "launches": [{"started": 1_760_000_000.0, "processes": 1, "seconds": 2.5}],
}


@dataclass(frozen=True, slots=True)
class FakeRecord(RunRecord):
    """A run record whose samples are in memory and whose pictures are in its folder."""

    held: dict[str, list[SampleRecord]] = field(default_factory=dict)

    def samples(self, cell: CellResult) -> Iterator[SampleRecord]:
        return iter(self.held.get(cell.name, []))


class Make:
    """Makes parts of a run record, each as plain as can be unless told otherwise."""

    metric = METRIC
    run = RUN

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def picture(self, name: str, size: tuple[int, int] = (64, 48)) -> str:
        """Keep a thumbnail and return the digest of its image."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        encoded = io.BytesIO()
        PIL.Image.new("RGB", size, f"#{digest[:6]}").save(encoded, format="JPEG")
        (self.folder / "thumbnails").mkdir(exist_ok=True)
        (self.folder / "thumbnails" / f"{digest}.jpg").write_bytes(encoded.getvalue())
        return digest

    def generate(self, prompt: str, text: str, images: Sequence[str] = ()) -> Exchange:
        response = response_to_json(Generated(text, (5, 2), (-0.1, -0.2), "eos"))
        return Exchange("Generate", prompt, tuple(images), (), (), response)

    def score(
        self,
        prompt: str,
        options: dict[str, float],
        images: Sequence[str] = (),
        option_images: Sequence[Sequence[str]] | None = None,
    ) -> Exchange:
        rows = tuple(LogLikelihood((1,), (value,), len(text), greedy=False) for text, value in options.items())
        leads = tuple(() for _ in options) if option_images is None else tuple(map(tuple, option_images))
        return Exchange("Score", prompt, tuple(images), tuple(options), leads, response_to_json(Scored(rows)))

    def sample(self, key: str = "1", *exchanges: Exchange, **changes: Any) -> SampleRecord:  # noqa: ANN401  any field
        values: dict[str, Any] = {
            "key": key,
            "content": hashlib.sha256(key.encode("utf-8", "replace")).hexdigest(),
            "cluster": "",
            "groups": {},
            "exemplars": (),
            "exchanges": exchanges or (self.generate("Question: what is it? Answer:", " a cat"),),
            "raw": " a cat",
            "answer": "cat",
            "target": "cat",
            "values": {"accuracy": 1.0},
            "margin": None,
            "stop_reason": "eos",
            "explanation": "",
        }
        return SampleRecord(**{**values, **changes})

    def failed(self, key: str, reason: str, kind: str = "Generate") -> SampleRecord:
        """Return a sample whose only request the model could not take."""
        exchange = Exchange(kind, "Question: what is it? Answer:", (), (), (), response_to_json(Failed(reason)))
        return self.sample(key, exchange, values={}, answer=None, raw="", target="", stop_reason=None, failed=reason)

    def cell(self, task: str = "puzzle", shots: int = 0, **changes: Any) -> CellResult:  # noqa: ANN401  any field
        values: dict[str, Any] = {
            "version": 1,
            "split": "test",
            "metrics": (METRIC,),
            "groups": {},
            "samples": 100,
            "total": 100,
            "unlabelled": 0,
            "settings": {},
            "fingerprints": {},
        }
        return CellResult(task=task, shots=shots, **{**values, **changes})

    def record(
        self, *cells: CellResult, samples: Sequence[SampleRecord] = (), run: dict[str, Any] | None = None
    ) -> FakeRecord:
        """Return a record whose every cell has the same samples."""
        held = {cell.name: list(samples) for cell in cells}
        return FakeRecord(self.folder, RUN if run is None else run, cells, held)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return Make(tmp_path)
