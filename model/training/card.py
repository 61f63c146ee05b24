"""A trained model's card: what it is, how it was made, and what it knows, as `card.json` beside its weights.

python -m kosmos_eval.model.training.card FOLDER [--items N]        examine it again, and write its card anew
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kosmos_eval.errors import DataError, KosmosEvalError
from kosmos_eval.writing import write_json

from ..checkpoint import fingerprint, load_kosmos
from .config import read_config
from .exam import examine

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD = "card.json"
RECIPE = "training.toml"

_ITEMS = 400


def write_card(folder: Path, made: Mapping[str, Any], items: int) -> None:
    """Examine the model of a folder and write its card.

    Args:
        folder: of the model, with the configuration that it was trained by.
        made: how it was made: the command, the number of processes.
        items: pictures of a kind in the examination; 0 for none.

    Raises:
        DataError: a file is missing or malformed.
    """
    config = read_config(folder / RECIPE)
    model, tokenizer = load_kosmos(folder)
    marks = examine(model, tokenizer, items) if items else ()
    start = f"; goes on from {Path(config.start.run).name}" if config.start.run else ""
    card = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "megabytes": round(sum(path.stat().st_size for path in folder.iterdir() if path.name != CARD) / 1e6, 1),
        "image_size": model.config.image_size or None,
        "training_data": _data(config.streams.shares, config.streams.labelled) + start,
        "seed": config.run.seed,
        "steps": config.run.steps,
        "fingerprint": fingerprint(folder),
        "made": {**made, "torch": version("torch"), "pillow": version("pillow")},
        "exam": [mark.as_json() for mark in marks],
    }
    write_json(folder / CARD, card)


def _data(shares: Mapping[str, float], labelled: int) -> str:
    parts = [f"{name} {share:.0%}" for name, share in shares.items()] + ["labelled pictures"] * (labelled > 0)
    return f"microworld: {', '.join(parts)}"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--items", type=click.IntRange(min=2), default=_ITEMS, show_default=True, help="Pictures of a kind.")
def main(folder: Path, items: int) -> None:
    """Examine the model of FOLDER again and write its card anew; how it was made stays as the card says."""
    try:
        write_card(folder, _made(folder), items)
    except KosmosEvalError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


def _made(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{folder / CARD}: expected the card of a trained model, which cannot be read ({error})"
        raise DataError(message) from error
    return {name: value for name, value in card["made"].items() if name not in {"torch", "pillow"}}


if __name__ == "__main__":
    main()
