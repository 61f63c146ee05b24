"""How well the model answers the embedded validation questions, while it trains.

An answer counts when the model, choosing the likeliest token each time, writes it exactly and ends. Fed the truth, the
first choices agree with it everywhere or they do not: so one forward pass tells what greedy decoding would.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import torch

from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.mini import VQAItem, vqa_items

from .documents import Documents, exemplar, query
from .packing import ImageMarks, Node, Picture, Words
from .stream import as_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..tokenizer import Tokenizer
    from .learner import Learner

_QUESTIONS_AT_ONCE = 50


class Measured(NamedTuple):
    """Answers that were right, and questions that were asked."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """Right answers over questions."""
        return self.right / self.asked


def measure(
    learner: Learner, tokenizer: Tokenizer, *, questions: int, shots: int = 0, with_image: bool = True
) -> dict[str, Measured]:
    """Return the exact match over validation questions, under `all` and by kind of question.

    Args:
        learner: what is trained.
        tokenizer: of the model.
        questions: how many to ask, from the first.
        shots: solved questions of the train split before each, drawn for each anew.
        with_image: leave the pictures in; without them the score shows what guessing is worth.
    """
    items = list(islice(vqa_items("val"), questions))
    pool = list(vqa_items("train"))
    results: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, len(items), _QUESTIONS_AT_ONCE):
        part = items[start : start + _QUESTIONS_AT_ONCE]
        rights = _ask(learner, tokenizer, [_prompt(item, pool, shots) for item in part], with_image=with_image)
        for item, right in zip(part, rights, strict=True):
            results["all"].append(right)
            results[item.question.kind].append(right)
    return {kind: Measured(sum(rights), len(rights)) for kind, rights in sorted(results.items())}


def _prompt(item: VQAItem, pool: Sequence[VQAItem], shots: int) -> list[VQAItem]:
    """Return the exemplars and the item, in prompt order."""
    return [*Draws(f"measure|{item.key}").sample(pool, shots), item]


@torch.no_grad()
def _ask(
    learner: Learner, tokenizer: Tokenizer, prompts: Sequence[Sequence[VQAItem]], *, with_image: bool
) -> list[bool]:
    documents = Documents()
    for prompt in prompts:
        parts: list[Words | Picture] = [Words((tokenizer.bos,))]
        for place, item in enumerate(prompt):
            if with_image:
                parts.append(documents.add(item.image.load()))
            if place + 1 < len(prompt):
                parts.extend(Words(words.ids) for words in exemplar(tokenizer, item.question))
        documents.trees.append([Node(tuple(parts)), query(tokenizer, prompt[-1].question, 0)])
    config = learner.model.config
    marks = ImageMarks(tokenizer.image_begin, tokenizer.image_end, config.connector.queries)
    device = next(learner.parameters()).device
    batch = as_batch(documents, marks).to(device)
    learner.eval()
    images = learner.model.image_embeddings(batch.pixels) if with_image else None
    chosen = learner.model_logits(batch, images).argmax(-1)
    learner.train()
    wrong = torch.zeros(len(prompts), dtype=torch.int64, device=device)
    wrong.index_add_(0, batch.source_rows, (chosen != batch.targets).long())
    return [count == 0 for count in wrong.tolist()]
