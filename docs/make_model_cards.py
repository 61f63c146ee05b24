"""Writes `docs/model-cards.md` from the cards that training leaves beside the embedded models' weights.

python docs/make_model_cards.py           write the page
python docs/make_model_cards.py --check   fail when the page is not what it would write
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kosmos_eval.model.specs import EMBEDDED, embedded_folder

PAGE = Path(__file__).parent / "model-cards.md"
PROSE = Path(__file__).parent / "model-cards.in.md"
MARK = "<!-- cards -->"


def model_cards() -> str:
    """Return the page: the prose, with a section for each embedded model in it."""
    prose = PROSE.read_text(encoding="utf-8")
    return prose.replace(MARK, "\n\n".join(_section(name, json.loads(card.read_text())) for name, card in _cards()))


def _cards() -> list[tuple[str, Path]]:
    return [(spec.name, embedded_folder(spec.name) / "card.json") for spec in EMBEDDED]


def _section(name: str, card: dict[str, Any]) -> str:
    facts = {
        "parameters": f"{card['parameters']:,}",
        "size": f"{card['megabytes']} MB, weights in float16",
        "images": f"{card['image_size']} pixels square" if card["image_size"] else "none: text alone",
        "training data": card["training_data"],
        "steps, seed": f"{card['steps']:,}, {card['seed']}",
        "fingerprint": f"`{card['fingerprint']}`",
        "made by": f"`{card['made']['command']}`, torch {card['made']['torch']}, Pillow {card['made']['pillow']}",
    }
    lines = [f"## {name}", "", "| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]
    lines += ["", "| fresh microworld | asked | right, % | 95 % interval | picture left out, % |"]
    lines += ["| --- | --- | --- | --- | --- |", *(_row(mark) for mark in card["exam"])]
    return "\n".join(lines)


def _row(mark: dict[str, Any]) -> str:
    if mark["low"] is None:
        return f"| {mark['name']} (not a percentage) | {mark['asked']} | {mark['value']:.3f} | | |"
    shares = ["" if mark[name] is None else f"{100 * mark[name]:.1f}" for name in ("value", "low", "high", "blind")]
    return f"| {mark['name']} | {mark['asked']} | {shares[0]} | {shares[1]} to {shares[2]} | {shares[3]} |"


def main() -> int:
    """Write or check the page; return the exit code."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == model_cards() else 1
    PAGE.write_text(model_cards(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
