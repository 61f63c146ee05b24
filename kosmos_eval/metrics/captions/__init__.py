"""Caption metrics: CIDEr, SPICE, BLEU, METEOR and ROUGE-L, as tylin/coco-caption computes them.

Captions are tokenised as there: Stanford's PTB tokenizer, lower case, punctuation dropped. CIDEr, BLEU and ROUGE-L are
computed here; METEOR and SPICE are the official Java programs, and where something that they need is missing, their
score says what and how to get it.

Source: github.com/tylin/coco-caption, by way of its port to Python 3, github.com/salaniz/pycocoevalcap 1.2.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.errors import UnknownNameError
from kosmos_eval.task import Metric

from .tokens import tokenise, tokenizer_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.corpus import CorpusScore

__all__ = ["CAPTION_METRICS", "caption_scores", "tokenizer_name"]

_SOURCE = "tylin/coco-caption, by salaniz/pycocoevalcap 1.2"

CAPTION_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("cider", f"CIDEr-D over n-grams of 1 to 4 words ({_SOURCE}: cider)", upper=10.0, corpus=True),
            Metric("spice", f"SPICE, F-score over scene graphs ({_SOURCE}: spice 1.0)", corpus=True),
            *(Metric(f"bleu_{n}", f"BLEU-{n} of the corpus ({_SOURCE}: bleu)", corpus=True) for n in (1, 2, 3, 4)),
            Metric("meteor", f"METEOR 1.5 of the corpus, -l en -norm ({_SOURCE}: meteor)", corpus=True),
            Metric("rouge_l", f"ROUGE-L, beta 1.2 ({_SOURCE}: rouge)", corpus=True),
        )
    }
)
"""Every caption metric by name; all belong to the corpus. Tables show CIDEr times 100, as papers do."""


def caption_scores(
    candidates: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[str]
) -> dict[str, CorpusScore]:
    """Return the metrics of captions, by name; METEOR and SPICE say what is missing where they cannot run.

    Args:
        candidates: one raw caption an image, as the model wrote it; may be empty.
        references: raw captions by people, one or more an image.
        metrics: names from `CAPTION_METRICS`.

    Returns:
        For each metric its value over the corpus, and each image's own where `own` is not `None`: CIDEr, BLEU of the
        sentence, METEOR of the sentence, ROUGE-L, F of SPICE.

    Raises:
        UnknownNameError: there is no such metric.
        ValueError: not as many lists of references as candidates, or an image without references.
    """
    for name in metrics:
        if name not in CAPTION_METRICS:
            kind = "caption metric"
            raise UnknownNameError(kind, name, CAPTION_METRICS)
    if len(candidates) != len(references):
        message = f"expected references for each of {len(candidates)} candidates, got {len(references)}"
        raise ValueError(message)
    for place, known in enumerate(references):
        if not known:
            message = f"expected at least one reference for each candidate, got none for candidate {place}"
            raise ValueError(message)
    from kosmos_eval.corpus import CorpusScore  # noqa: PLC0415  it brings in numpy, which listing tasks must not

    if not candidates:
        return {name: CorpusScore(None, unavailable="there are no captions") for name in metrics}
    given = tokenise(candidates)  # apart, as coco-caption does it: the tokenizer sees what a caption's neighbour is
    rest = iter(tokenise([each for known in references for each in known]))
    wanted = [list(islice(rest, len(known))) for known in references]
    scores = _scores(given, wanted, metrics)
    return {name: replace(score, made_with=tokenizer_name()) for name, score in scores.items()}


def _scores(
    candidates: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[str]
) -> dict[str, CorpusScore]:
    from . import meteor, ngrams, spice  # noqa: PLC0415  numpy, where it is needed

    found: dict[str, CorpusScore] = {}
    for name in metrics:
        if name.startswith("bleu") and name not in found:
            found |= {f"bleu_{n}": score for n, score in enumerate(ngrams.bleu(candidates, references), start=1)}
    compute = {"cider": ngrams.cider, "rouge_l": ngrams.rouge_l, "meteor": meteor.meteor, "spice": spice.spice}
    return {name: found.get(name) or compute[name](candidates, references) for name in metrics}
