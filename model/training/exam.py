"""How well a model knows the microworld: each kind of question with its pictures, and again without them.

    python -m kosmos_eval.model.training.exam FOLDER [--items N]

Answers are written greedily and count when they are right exactly; a caption counts when it names every thing with
its size, colour, shape and place and nothing else. Subjects begin with `exam|`, which no training stream does; what
is `new` was held back from all training: pairs of colour and shape that were never drawn, words never rendered.
Without the pictures, the share that is still right shows what guessing is worth. Named kinds of things are asked about
without a picture, and the first word counts: of half of them text tells the look, of the others pictures alone.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import torch

from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.locations import Box, Corners, box_of
from kosmos_eval.metrics.boxes import HIT, overlap
from kosmos_eval.microworld.captions import named, read_caption
from kosmos_eval.microworld.commonsense import colour_items, size_items
from kosmos_eval.microworld.drawing import box, draw_scene
from kosmos_eval.microworld.questions import make_questions
from kosmos_eval.microworld.references import make_references
from kosmos_eval.microworld.scene import SIDE, make_scene
from kosmos_eval.microworld.words import draw_word, make_word, make_word_questions
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.statistics.intervals import mean_interval

from ..checkpoint import load_kosmos
from ..engine import KosmosModel
from ..tokenizer import LOCATIONS
from .batches import as_batch
from .config import StreamSettings
from .documents import Documents
from .packing import Document, ImageMarks
from .streams.grounded import GROUNDING
from .streams.interleaved import question_prompt
from .streams.pictures import CAPTION
from .streams.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kosmos_eval.microworld.commonsense import Kind
    from kosmos_eval.microworld.scene import Scene, Thing

    from ..kosmos import Kosmos
    from ..tokenizer import Tokenizer

_QUESTIONS = 5
_LONGEST = 96  # tokens; the longest grounded caption has fewer
_FIRST_WORD = 6  # tokens; a colour, yes and no are one each
_OBJECT = re.compile(r"<object><patch_index_(\d{4})><patch_index_(\d{4})>")
_ROOM = 512


@dataclass(frozen=True, slots=True)
class Mark:
    """What came of one kind of question.

    Attributes:
        name: of the kind.
        asked: how many.
        value, low, high: share that was right, with its 95 % interval, clustered by picture; or perplexity a token,
            without one.
        blind, blind_high: the share without the pictures and the upper end of its interval; `None` where none is shown.
    """

    name: str
    asked: int
    value: float
    low: float | None = None
    high: float | None = None
    blind: float | None = None
    blind_high: float | None = None

    def as_json(self) -> dict[str, str | float | None]:
        """Return plain values, rounded to four places."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


class _Asked(NamedTuple):
    """A question.

    Attributes:
        kinds: the marks it counts for.
        cluster: equal for questions that belong together: those on one picture, those about one kind of thing.
        picture: its picture, if it has one.
        text: what is asked.
        right: whether an answer is right.
    """

    kinds: tuple[str, ...]
    cluster: str
    picture: Image | None
    text: str
    right: Callable[[str], bool]


def examine(model: Kosmos, tokenizer: Tokenizer, items: int) -> tuple[Mark, ...]:
    """Return the marks of a model: of a decoder alone, what it knows without pictures.

    Args:
        model: in evaluation mode.
        tokenizer: with locations.
        items: pictures of a kind, and passages of text.
    """
    text = Mark("perplexity of plain text", items, perplexity(model, tokenizer, items))
    asked = [*([] if model.vision is None else _questions(items)), *_kind_questions()]
    engine = KosmosModel(model, tokenizer)
    seen, blind = (_answers(engine, asked, with_picture=with_picture) for with_picture in (True, False))
    kinds = dict.fromkeys(kind for each in asked for kind in each.kinds)
    return (*(_mark(kind, asked, seen, blind) for kind in kinds), text)


@torch.no_grad()
def perplexity(model: Kosmos, tokenizer: Tokenizer, passages: int) -> float:
    """Return the perplexity a token of fresh passages of plain text."""
    settings = StreamSettings(tokens=1, text=1.0)
    stream, documents = Text(tokenizer, settings), Documents(model.config.image_size)
    for number in range(passages):
        documents.trees.append(Document(stream.make(f"exam|text|{number}", documents)))
    marks = ImageMarks(tokenizer.image_begin, tokenizer.image_end, model.config.image_tokens)
    batch = as_batch(documents, marks, _ROOM).to(model.decoder.embedding.weight.device)
    hidden = model.decoder(model.embed(batch.ids), batch.positions, batch.visible)
    logits = model.decoder.logits(hidden[batch.source_rows, batch.source_columns])
    return math.exp(torch.nn.functional.cross_entropy(logits.float(), batch.targets).item())


def _questions(items: int) -> Iterator[_Asked]:
    for number in range(items):
        for name, novel in (("captions", False), ("captions of new pairs", True)):
            subject = f"exam|{name}|{number}"
            scene = make_scene(subject, novel=novel)
            yield _Asked((name,), subject, _scene_image(scene, subject), CAPTION, partial(_names, scene))
        subject = f"exam|questions|{number}"
        scene = make_scene(subject)
        image = _scene_image(scene, subject)
        for question in make_questions(scene, subject, _QUESTIONS):
            kinds = ("questions", f"questions: {question.kind}")
            yield _Asked(kinds, subject, image, question_prompt(question.text), partial(_is, question.answer))
        for name, novel in (("reading", False), ("reading of new words", True)):
            subject = f"exam|{name}|{number}"
            word = make_word(subject, novel=novel)
            said = make_word_questions(word, subject)[0]
            image = Image(partial(draw_word, word), subject)
            yield _Asked((name,), subject, image, question_prompt(said.text), partial(_is, said.answer))
        subject = f"exam|grounding|{number}"
        scene = make_scene(subject)
        reference = make_references(scene, subject, 1)[0]
        asked = f"{GROUNDING}<phrase> {reference.text}</phrase>"
        yield _Asked(("grounding",), subject, _scene_image(scene, subject), asked, partial(_finds, reference.thing))


def _kind_questions() -> Iterator[_Asked]:
    """Yield questions about named kinds of things without a picture, as the benchmarks of commonsense ask them."""
    for part, article in enumerate(("a ", "")):
        for kind in colour_items("test", part):
            asked = f"The color of {article}{kind.name} is?"
            yield _Asked((_known("colours", kind),), kind.name, None, asked, partial(_begins, kind.colour))
    for number, pair in enumerate(size_items("test")):
        one, other = (pair.larger, pair.smaller) if number % 2 else (pair.smaller, pair.larger)
        right = partial(_begins, "Yes" if number % 2 else "No")
        asked = f"Is {one.name} larger than {other.name}?"
        yield _Asked((_known("sizes", one),), pair.block, None, asked, right)


def _known(what: str, kind: Kind) -> str:
    return f"{what} that text tells" if kind.stated else f"{what} that only pictures show"


def _scene_image(scene: Scene, name: str) -> Image:
    return Image(partial(draw_scene, scene), name)


def _is(answer: str, text: str) -> bool:
    return text.strip() == answer


def _begins(answer: str, text: str) -> bool:
    """Return whether the first word is the answer; in plain text, others may follow."""
    return text.split()[:1] == [answer]


def _names(scene: Scene, text: str) -> bool:
    return read_caption(text) == named(scene)


def _finds(thing: Thing, text: str) -> bool:
    found = _OBJECT.match(text.strip())
    if found is None or any(int(place) >= LOCATIONS for place in found.groups()):
        return False
    truth = Box(*(side / SIDE for side in box(thing)))
    return overlap(box_of(Corners(int(found[1]), int(found[2]))), truth) >= HIT


def _answers(engine: KosmosModel, asked: Sequence[_Asked], *, with_picture: bool) -> list[bool]:
    requests = (
        Generate(
            Prompt.of(*([each.picture] if each.picture and with_picture else []), each.text),
            _LONGEST if each.picture else _FIRST_WORD,
        )
        for each in asked
    )
    answers = dict(engine.answer(enumerate(requests)))
    rights = []
    for number, each in enumerate(asked):
        answer = answers[number]
        rights.append(isinstance(answer, Generated) and each.right(answer.text))
    return rights


def _mark(kind: str, asked: Sequence[_Asked], seen: Sequence[bool], blind: Sequence[bool]) -> Mark:
    chosen = [number for number, each in enumerate(asked) if kind in each.kinds]
    clusters = [asked[number].cluster for number in chosen]
    with_picture, without = (
        mean_interval([float(rights[number]) for number in chosen], clusters) for rights in (seen, blind)
    )
    assert with_picture.value is not None
    mark = Mark(kind, len(chosen), with_picture.value, with_picture.low, with_picture.high)
    shown = all(asked[number].picture for number in chosen)
    return replace(mark, blind=without.value, blind_high=without.high) if shown else mark


def said(marks: Sequence[Mark]) -> str:
    """Return the marks in one line."""
    return ", ".join(f"{mark.name} {mark.value:.3f}" for mark in marks)


def as_table(marks: Sequence[Mark]) -> str:
    """Return the marks as a Markdown table: percentages, but for the perplexity."""
    lines = ["| | asked | right, % | 95 % interval | picture left out |", "| --- | --- | --- | --- | --- |"]
    for mark in marks:
        if mark.low is None or mark.high is None:
            lines.append(f"| {mark.name} | {mark.asked} | {mark.value:.3f} | | |")
            continue
        interval = f"{100 * mark.low:.1f} to {100 * mark.high:.1f}"
        blind = "" if mark.blind is None else f"{100 * mark.blind:.1f}"
        lines.append(f"| {mark.name} | {mark.asked} | {100 * mark.value:.1f} | {interval} | {blind} |")
    return "\n".join(lines)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--items", type=click.IntRange(min=2), default=400, show_default=True, help="Pictures of a kind.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
def main(folder: Path, items: int, *, as_json: bool) -> None:
    """Examine the model of FOLDER on fresh microworld pictures and text."""
    try:
        model, tokenizer = load_kosmos(folder)
        marks = examine(model, tokenizer, items)
    except KosmosEvalError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(json.dumps([mark.as_json() for mark in marks], indent=1) if as_json else as_table(marks))


if __name__ == "__main__":
    main()
