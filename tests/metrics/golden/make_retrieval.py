"""Writes retrieval.json: seeded rankings without ties, and what the VisDial challenge's script makes of them.

To renew it: save visdialch/metrics.py of batra-mlp-lab/visdial-challenge-starter-pytorch, commit
9acafd2bbcc6ccf77c4ef4f02abfbd211a0fcbcd, anywhere outside this repository, and run, from the repository's root,

    python tests/metrics/golden/make_retrieval.py PATH/TO/metrics.py

Each entry has the candidates' weights and relevances, the index of the right one, and the script's metrics.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path

import torch

GOLDEN = Path(__file__).with_name("retrieval.json")
SIZES = (2, 7, 20, 100)
CASES = 60


def main() -> None:
    """Write the golden file from the script that the command line names."""
    spec = importlib.util.spec_from_file_location("official", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    official = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(official)
    draw = random.Random(5)
    cases = []
    for number in range(CASES):
        size = SIZES[number % len(SIZES)]
        weights = [-each / 8 for each in draw.sample(range(1000), size)]
        relevance = [draw.choice([0.0, 0.0, 0.0, 0.2, 0.5, 1.0]) for _ in range(size)]
        relevance[draw.randrange(size)] = 0.4
        target = draw.randrange(size)
        sparse, gain = official.SparseGTMetrics(), official.NDCG()
        sparse.observe(torch.tensor([[weights]]), torch.tensor([[target]]))
        # A batch of two, as the script squeezes one away.
        gain.observe(torch.tensor([weights, weights]), torch.tensor([relevance, relevance]))
        found = sparse.retrieve()
        cases.append(
            {
                "weights": weights,
                "relevance": relevance,
                "target": target,
                "rank": int(found["mean"]),
                "mrr": found["mrr"],
                "recalls": [found[f"r@{k}"] for k in (1, 5, 10)],
                "ndcg": gain.retrieve()["ndcg"],
            }
        )
    GOLDEN.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
