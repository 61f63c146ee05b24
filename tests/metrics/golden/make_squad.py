"""Writes squad.json: seeded nasty answers, and what WebSRC's official script makes of them.

To renew it: save src/utils_evaluate.py of X-LANCE/WebSRC-Baseline, commit a9f1c294e3251951c6a95007485abda7ed46e3d7,
anywhere outside this repository, and run, from the repository's root,

    python tests/metrics/golden/make_squad.py PATH/TO/utils_evaluate.py

Each entry is `[prediction, right answers, exact match, F1 as float.hex]`, the script's functions applied as its
`get_raw_scores` applies them. What they import but do not use is stubbed.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import types
from pathlib import Path

GOLDEN = Path(__file__).with_name("squad.json")
CASES = 400

WORDS = """
    a an the A The "The" 14.5 gal. 190.7 " 23.1 '' yes No. x-ray the-a $35.00 €20 \u201cno\u201d caf\u00e9 U.S.A. 5 5
    10/06/2020 Rear hip room red Red, (10/20/2020) \u0130stanbul ... - \u2013 28 City / 35 Hwy
"""
SPACES = ["\u00a0", ""]


def main() -> None:
    """Write the golden file from the script that the command line names."""
    stub = types.ModuleType("bs4")
    stub.BeautifulSoup = None  # type: ignore[attr-defined]  # the path metric's, which is not tried
    sys.modules["bs4"] = stub
    spec = importlib.util.spec_from_file_location("official", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    official = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(official)
    draw, words = random.Random(3), [*WORDS.split(), *SPACES]
    cases = []
    for _ in range(CASES):
        texts = [" ".join(draw.choices(words, k=draw.randrange(5))) for _ in range(1 + draw.randrange(1, 3))]
        prediction, right = texts[0], texts[1:]
        if draw.random() < 0.3:
            prediction = draw.choice(right).upper()
        kept = [each for each in right if official.normalize_answer(each)] or [""]
        exact = max(official.compute_exact(each, prediction) for each in kept)
        overlap = max(official.compute_f1(each, prediction) for each in kept)
        cases.append([prediction, right, float(exact), float(overlap).hex()])
    GOLDEN.write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
