"""Language multiple choice, beside lm-eval's own `hf` model on the same weights.

    python benchmarks/language.py [--quick] [--repeats 3] [--only TEXT] [--out FOLDER]

The peer is `lm_eval.models.huggingface.HFLM` itself, around transformers' `Kosmos2TextForCausalLM` with the weights of
our decoder, asked through its public `loglikelihood`. It sorts by length, batches 32 rows, and reads options once that
are alike but for their last token (its `logits_cache`, on by default). Texts are random tokens of these lengths:

    endings    four endings of 8 to 30 tokens behind 40 to 100 tokens, as in HellaSwag and StoryCloze
    yes or no  two answers of one token behind 80 to 200 tokens, as in BoolQ and CB: here lm-eval reads each context
               once as well
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import transformers
from bench.answers import check, totals
from bench.measure import Row, arguments, finish, in_turns
from bench.peers import ROWS, Peer
from bench.shapes import KOSMOS_2_VOCABULARY, SMALL, TINY_VOCABULARY, TOY, NumberTokenizer, words
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, models, pre_tokenizers

from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.layouts import HEAD, TRANSFORMERS
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Score

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.peers import Place

    from kosmos_eval.model.kosmos import Kosmos

_BAR = 1.5
_TEXT_MODEL = "text_model."
_SPECIALS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
"""In the order of their ids; every other token is called by its number."""


def multiple_choice(items: int, context: tuple[int, int], options: int, ending: tuple[int, int]) -> list[Score]:
    """Return questions of random tokens; lengths are drawn between two numbers, the second one included."""
    draw = np.random.default_rng(0)

    def text(lengths: tuple[int, int]) -> str:
        return words(draw, TINY_VOCABULARY, int(draw.integers(lengths[0], lengths[1] + 1)))

    return [
        Score(Prompt.of(text(context)), tuple(Continuation(text(ending)) for _ in range(options))) for _ in range(items)
    ]


def lm_eval_model(model: Kosmos) -> Any:  # noqa: ANN401  lm_eval is untyped here
    """Return lm-eval's `hf` model around transformers' decoder with the same weights."""
    shape = model.config.decoder
    config = transformers.Kosmos2TextConfig(
        vocab_size=shape.vocabulary,
        embed_dim=shape.width,
        layers=shape.layers,
        ffn_dim=shape.hidden,
        attention_heads=shape.heads,
        max_position_embeddings=shape.max_positions,
    )
    # The class in `_auto_class`'s stead: lm-eval asks for a causal model, which this one is.
    theirs = transformers.models.kosmos2.modeling_kosmos2.Kosmos2TextForCausalLM(config).eval()
    state = {
        name: weight for name, weight in model.state_dict().items() if name.startswith("decoder.") and name != HEAD
    }
    loaded = theirs.load_state_dict(
        {TRANSFORMERS.name_of(name).removeprefix(_TEXT_MODEL): weight for name, weight in state.items()}, strict=False
    )
    assert not loaded.unexpected_keys, loaded
    theirs.tie_weights()
    names = [*_SPECIALS.values(), *map(str, range(len(_SPECIALS), shape.vocabulary))]
    numbers = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, _SPECIALS["unk_token"]))
    numbers.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=numbers, **_SPECIALS)
    return HFLM(pretrained=theirs, tokenizer=tokenizer, backend="causal", batch_size=ROWS, device="cpu")


def asked_of_lm_eval(peer: Any, requests: Sequence[Score]) -> dict[Place, float]:  # noqa: ANN401  untyped here
    """Return each option's log-likelihood as lm-eval finds it."""
    places, instances = [], []
    for number, request in enumerate(requests):
        context = f"{_SPECIALS['bos_token']} {request.prompt.parts[0]}"
        for at, each in enumerate(request.continuations):
            places.append((number, at))
            instances.append(Instance("loglikelihood", {}, (context, f" {each.text}"), at))
    found = peer.loglikelihood(instances, disable_tqdm=True)
    return {place: score for place, (score, _) in zip(places, found, strict=True)}


def compare(title: str, model: Kosmos, requests: Sequence[Score], repeats: int) -> Row:
    """Return the row of requests that both are asked."""
    tokenizer, peer = NumberTokenizer(model.config.decoder.vocabulary), lm_eval_model(model)
    engine, ours = KosmosModel(model, tokenizer), Peer(model, tokenizer, requests)
    timed = in_turns(
        {"ours": lambda: totals(engine, requests), "theirs": lambda: asked_of_lm_eval(peer, requests)}, repeats
    )
    apart = check(timed["ours"].answer, timed["theirs"].answer, ours.options)
    seconds = timed["ours"].seconds, timed["theirs"].seconds
    return Row(title, f"lm-eval's hf, batches of {ROWS}", *seconds, at_least=_BAR, floor=ours.floor(), apart=apart)


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows whose name the flags ask for."""
    shape, items, vocabulary = (TOY, 3, TINY_VOCABULARY) if options.quick else (SMALL, 40, KOSMOS_2_VOCABULARY)
    model = shape.model(vocabulary)
    found: list[Row] = []
    if options.only in (title := f"multiple choice, {items} items, four endings, small, vocabulary 65k"):
        found.append(compare(title, model, multiple_choice(items, (40, 100), 4, (8, 30)), options.repeats))
    if options.only in (title := f"multiple choice, {2 * items} items, yes or no, small, vocabulary 65k"):
        found.append(compare(title, model, multiple_choice(2 * items, (80, 200), 2, (1, 1)), options.repeats))
    return found


def main() -> int:
    """Print the rows and write them down."""
    options = arguments(__doc__)
    for name in ("lm_eval", "lm_eval.models.huggingface", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return finish(options, rows(options))


if __name__ == "__main__":
    sys.exit(main())
