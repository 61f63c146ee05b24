"""Web pages that offer one thing for sale: a picture of it, a table of what it is, and questions with their answers.

The picture and the HTML say the same. The upper two thirds of the page's picture are a scene in the manner of all
others, four times larger, so that what is asked of a thing's colour, shape and size can be seen as well as read; its
name and price are only written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kosmos_eval.prompt import Image

from .draws import Draws
from .mini import check_split, mini_subject
from .questions import with_article
from .scene import COLOURS, GRID, HELD_BACK, JITTER, SHAPES, SIDE, SIZES, Scene, Thing
from .words import make_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image

PAGES = {"train": 40, "dev": 40}

_FIRST_IDS = {"train": 100_000, "dev": 200_000}
_SCALE = 4
_LINE = 24  # pixels; five lines fill the lower third
_FONT_SIZE = 19  # pixels


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """A question about a page.

    Attributes:
        text: as it is asked.
        answer: a span of the page's text, or yes or no.
        closed: whether it is yes or no.
    """

    text: str
    answer: str
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a shop.

    Attributes:
        page_id: unique among all splits.
        image: the page as it looks, drawn when it is opened.
        html: the page as it is written.
        questions: with their answers.
    """

    page_id: str
    image: Image
    html: str
    questions: tuple[PageQuestion, ...]


@dataclass(frozen=True, slots=True)
class _Offer:
    name: str
    thing: Thing
    price: int

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        thing = self.thing
        return (("Color", thing.colour), ("Shape", thing.shape), ("Size", thing.size), ("Price", f"{self.price} coins"))


def pages(split: str) -> Iterator[Page]:
    """Yield the split's pages, of four questions each, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split, PAGES)
    return (_page(split, number) for number in range(PAGES[split]))


def _page(split: str, number: int) -> Page:
    subject = mini_subject(f"page|{split}", number)
    page_id = str(_FIRST_IDS[split] + number)
    offer = _make_offer(subject)
    table = "".join(f" <tr> <th> {name} </th> <td> {value} </td> </tr>" for name, value in offer.rows)
    return Page(
        page_id=page_id,
        image=Image(partial(_draw, offer), f"microworld page {page_id}"),
        html=f"<html> <body> <img/> <h1> {offer.name} </h1> <table>{table} </table> </body> </html>",
        questions=_ask(offer, Draws(f"page questions|{subject}")),
    )


def _make_offer(subject: str) -> _Offer:
    draws = Draws(f"page|{subject}")
    colour, shape = draws.choice([(one, two) for one in COLOURS for two in SHAPES if (one, two) not in HELD_BACK])
    thing = Thing(
        shape=shape,
        colour=colour,
        size=draws.choice(SIZES),
        row=draws.below(GRID - 1),
        column=draws.below(GRID),
        dx=draws.below(2 * JITTER + 1) - JITTER,
        dy=draws.below(2 * JITTER + 1) - JITTER,
    )
    return _Offer(make_word(subject).text, thing, 2 + draws.below(98))


def _ask(offer: _Offer, draws: Draws) -> tuple[PageQuestion, ...]:
    """Return four questions: two that the picture answers, one that only the writing does, and one of yes or no."""
    thing = offer.thing
    seen = (
        PageQuestion(f"What color is the {thing.shape}?", thing.colour),
        PageQuestion(f"What shape is the {thing.colour} thing?", thing.shape),
        PageQuestion(f"What size is the {thing.shape}?", thing.size),
    )
    written = (
        PageQuestion(f"What is the price of {offer.name}?", f"{offer.price} coins"),
        PageQuestion(f"What is the name of the {thing.shape}?", offer.name),
    )
    truth = draws.below(2) == 1
    claimed = thing.colour if truth else draws.choice([colour for colour in COLOURS if colour != thing.colour])
    closed = PageQuestion(
        f"Is there {with_article(f'{claimed} {thing.shape}')}?", "yes" if truth else "no", closed=True
    )
    return (*draws.sample(seen, 2), draws.choice(written), closed)


def _draw(offer: _Offer) -> PIL.Image.Image:
    """Return the page's picture: 384 x 384 pixels, RGB, in Pillow's own font."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it
    import PIL.ImageDraw  # noqa: PLC0415  as above
    import PIL.ImageFont  # noqa: PLC0415  as above

    from .drawing import draw_scene  # noqa: PLC0415  as above

    side = SIDE * _SCALE
    page = draw_scene(Scene((offer.thing,))).resize((side, side), PIL.Image.Resampling.BICUBIC)
    pen = PIL.ImageDraw.Draw(page)
    font = PIL.ImageFont.load_default(_FONT_SIZE)
    top = side * (GRID - 1) // GRID
    for place, line in enumerate((offer.name, *(f"{name}  {value}" for name, value in offer.rows))):
        pen.text((_LINE, top + _LINE * (place + 0.5)), line, fill=(0, 0, 0), font=font, anchor="lm")
    return page
