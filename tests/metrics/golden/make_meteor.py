"""Write `meteor.json` anew: captions, METEOR's statistics of each, and pycocoevalcap's scores (needs Java).

python tests/metrics/golden/make_meteor.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from pycocoevalcap.meteor.meteor import Meteor

IMAGES = 60
WORDS = [
    "a",
    "the",
    "dog",
    "dogs",
    "cat",
    "running",
    "runs",
    "quickly",
    "on",
    "in",
    "of",
    "green",
    "lawn",
    "grass",
    "red",
    "square",
    "big",
    "large",
    "man",
    "person",
    "isn't",
]


def main() -> None:
    """Write the file."""
    draw = random.Random(1)

    def caption(least: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.choice([least, 1, 2, 5, 9])))

    candidates = [caption(0) for _ in range(IMAGES)]
    references = [[caption(1) for _ in range(draw.randint(1, 5))] for _ in range(IMAGES)]
    candidates[1] = references[1][0]  # matched whole, in one chunk
    candidates[2], references[2] = "dog", ["dog"]
    candidates[3] = ""
    official = Meteor()
    lines = [official._stat(given, known) for given, known in zip(candidates, references, strict=True)]
    corpora = []
    for chosen in (list(range(IMAGES)), [1, 2], [0], [3], [1], list(range(20, 50)), [2, 2, 2, 5, 5, 7]):
        wanted = {place: references[image] for place, image in enumerate(chosen)}
        given = {place: [candidates[image]] for place, image in enumerate(chosen)}
        value, own = official.compute_score(wanted, given)
        corpora.append({"images": chosen, "value": value, "own": own})
    found = {"candidates": candidates, "references": references, "lines": lines, "corpora": corpora}
    text = json.dumps(found, indent=1) + "\n"
    Path(__file__).with_name("meteor.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
