"""Write `ptb.jsonl.gz` anew: sentences, and what Stanford's PTBTokenizer 3.4.1 makes of them (needs Java).

    python tests/metrics/golden/make_ptb.py

The sentences are those of `ptb_hard.txt`, their chunks between spaces one by one, sentences drawn from pieces that are
hard to tell apart, and every caption of the microworld; all in one text, as the end of one may depend on the next.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

from kosmos_eval.metrics.captions.tokens import OFFICIAL, tokenise, tokenizer_name
from kosmos_eval.microworld.captioned import PICTURES, caption_items

HERE = Path(__file__).parent
DRAWN = 1_500
WORDS = [
    "a",
    "A",
    "the",
    "dog",
    "Dog",
    "DOG",
    "dogs",
    "it",
    "I",
    "he",
    "He",
    "The",
    "U.S.",
    "p.m.",
    "e.g.",
    "Mr.",
    "mr.",
    "etc.",
    "Jan.",
    "St.",
    "no.",
    "No.",
    "can't",
    "don't",
    "it's",
    "dog's",
    "dogs'",
    "o'clock",
    "'em",
    "'n'",
    "rock",
    "5",
    "12",
    "1,000",
    "3.14",
    "1/2",
    "10:30",
    "$5",
    "50%",
    "#1",
    "#tag",
    "@me",
    "5'10",
    "'90s",
    "90's",
    "x-ray",
    "3-D",
    "t-shirt",
    "and/or",
    "AT&T",
    "café",
    "naïve",
    "http://a.com/b",
    "www.x.com",
    "a@b.com",
    "photo.jpg",
    "x",
    "é",
    "cannot",
    "gonna",
    "gimme",
    "USA",
    "U.S.A",
    "Inc.",
    "ft.",
    "in.",
    "lb.",
    "A.",
    "b.",
    "C.",
    "one",
    "Ph.D.",
    "&amp;",
    "555-1234",
    "1990",
    "2nd",
    "20th",
]
SIGNS = [
    *" .,;:!?'\"`-()[]{}<>/&$#@%*_+=~^|\\",
    "--",
    "...",
    "…",
    *"\u201c\u201d\u2018\u2019\u2014\u2013",
    "  ",
    "\t",
    "\xa0",
]
SIGNS += ["😀", "é", "½", "£", "€", "°", "n't", "'s", "'ll", ":)", ":(", "?!", "!!"]


def sentences() -> list[str]:
    """Return all sentences, each once."""
    draw = random.Random(0)
    hard = (HERE / "ptb_hard.txt").read_text(encoding="utf-8").splitlines()
    found = [*hard, *(chunk for line in hard for chunk in line.split(" "))]
    for _ in range(DRAWN):
        words = draw.choices(WORDS, k=draw.randint(3, 10))
        found.append(" ".join(word + draw.choice(SIGNS) if draw.random() < 0.3 else word for word in words))
        found.append("".join(draw.choice(draw.choice((WORDS, SIGNS))) for _ in range(draw.randint(2, 12))))
    for split in PICTURES:
        for benchmark in ("coco_caption", "flickr30k_caption"):
            found += [caption for item in caption_items(benchmark, split) for caption in item.captions]
    return list(dict.fromkeys(found))


def main() -> None:
    """Write the file.

    Raises:
        SystemExit: there is no Java.
    """
    asked = sentences()
    answers = tokenise(asked)
    if tokenizer_name() != OFFICIAL:
        message = "Java is needed: kosmos-eval doctor says how to get it"
        raise SystemExit(message)
    rows = "".join(
        json.dumps([text, said], ensure_ascii=False) + "\n" for text, said in zip(asked, answers, strict=True)
    )
    (HERE / "ptb.jsonl.gz").write_bytes(gzip.compress(rows.encode(), mtime=0))


if __name__ == "__main__":
    main()
