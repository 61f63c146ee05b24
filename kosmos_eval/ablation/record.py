"""An ablation on disk, and the pages that are written of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kosmos_eval.errors import DataError
from kosmos_eval.fingerprint import environment
from kosmos_eval.writing import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.ablation.applying import ModelRun
    from kosmos_eval.ablation.result import Ablation
    from kosmos_eval.ablation.spec import Spec
    from kosmos_eval.plugins import Plugins

ABLATION = "ablation.json"
SCHEMA_VERSION = 1


@runtime_checkable
class AblationWriter(Protocol):
    """A report writer (`kosmos_eval.record.ReportWriter`) that writes ablations as well."""

    def write_ablation(self, ablation: Ablation, folder: Path) -> Path:
        """Write the report into the folder and return its path; on failure no half-written file is left."""
        ...


def write_ablation(folder: Path, spec: Spec, runs: Sequence[ModelRun], ablation: Ablation | None) -> None:
    """Write `ablation.json`, whole or not at all.

    Args:
        folder: of the ablation.
        spec: what is asked.
        runs: of its models.
        ablation: what was found; `None` while it is not finished.
    """
    values: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "finished": ablation is not None,
        "spec": spec.to_json(),
        "runs": [run.to_json() for run in runs],
        "environment": environment(),
    }
    write_json(folder / ABLATION, values | ({} if ablation is None else ablation.to_json()))


def read_ablation(folder: Path) -> dict[str, Any]:
    """Return `ablation.json` of a folder.

    Raises:
        DataError: there is none, it cannot be read, or another version of this package wrote it.
    """
    path = folder / ABLATION
    if not path.exists():
        message = f"{folder}: expected an ablation's folder, found no {ABLATION} in it"
        raise DataError(message)
    try:
        values: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: cannot be read ({error})"
        raise DataError(message) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA_VERSION:
        message = f"{path}: expected schema {SCHEMA_VERSION}, got something else; another version wrote this ablation"
        raise DataError(message)
    runs = values.get("runs")
    if not (isinstance(values.get("spec"), dict) and isinstance(runs, list) and all(map(_is_run, runs))):
        message = f"{path}: is damaged: expected a spec, and runs with name, arms, config and what was left out"
        raise DataError(message)
    return values


def _is_run(values: object) -> bool:
    """Whether plain values are of the form that `ModelRun.from_json` reads."""
    if not isinstance(values, dict):
        return False
    name, arms, config = values.get("name"), values.get("arms"), values.get("config", "")
    return (
        isinstance(name, str)
        and Path(name).name == name  # it is a folder's
        and isinstance(arms, list)
        and (config is None or isinstance(config, dict))
        and isinstance(values.get("left_out"), dict)
    )


def write_reports(ablation: Ablation, plugins: Plugins) -> list[Path]:
    """Write the spec's reports that can show an ablation into its folder, and return their paths."""
    writers = [plugins.report(name) for name in ablation.spec.run.report]
    return [
        writer.write_ablation(ablation, ablation.folder) for writer in writers if isinstance(writer, AblationWriter)
    ]
