"""Things to be found and described in pictures of the microworld, each with its box: stand-ins for grounding data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .captions import make_captions
from .drawing import box
from .mini import check_split, mini_subject, scene_image
from .questions import place, with_article
from .references import make_references
from .scene import Scene, make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kosmos_eval.prompt import Image

    from .scene import Thing

PICTURES = 75
REFERENCES = 2
"""Pictures of a split, and the expressions or things that are asked about in each, where it has so many."""

_EVERY = 100  # more than the expressions of any scene
_DESCRIBING = (0, 3, 4)  # forms of captions that begin with the thing or its place, not with "there is"


@dataclass(frozen=True, slots=True)
class Referred:
    """A thing of a picture.

    Attributes:
        key: of the item.
        image_key: of its picture.
        image: drawn when it is opened.
        expressions: each fits this thing only.
        box: left, top, right and bottom in pixels.
        shape: of the thing.
    """

    key: str
    image_key: str
    image: Image
    expressions: tuple[str, ...]
    box: tuple[int, int, int, int]
    shape: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a caption says of one thing.

    Attributes:
        start, end: of the phrase in the caption.
        box: of the thing.
        shape: likewise.
    """

    start: int
    end: int
    box: tuple[int, int, int, int]
    shape: str


@dataclass(frozen=True, slots=True)
class PhrasedCaption:
    """A caption with its phrases, in order.

    Attributes:
        image_key: of its picture.
        image: drawn when it is opened.
        text: of the caption.
        phrases: of its things; none when all are described alike.
    """

    image_key: str
    image: Image
    text: str
    phrases: tuple[Phrase, ...]


def referred_things(dataset: str, split: str, *, places: bool = True) -> Iterator[Referred]:
    """Yield things with an expression that fits each alone, two for most pictures.

    Args:
        dataset: whose stand-in it is: no two share a picture.
        split: of the embedded data.
        places: let expressions say where a thing is.

    Raises:
        UsageError: the embedded data has no such split.
    """
    for key, image, scene, subject in _scenes(dataset, split):
        every = make_references(scene, subject, _EVERY)
        fitting = [each for each in every if places or not each.text.endswith(place(each.thing))]
        for number, each in enumerate(fitting[:REFERENCES]):
            yield _referred(f"{key}-{number}", key, image, (each.text,), each.thing)


def described_things(dataset: str, split: str) -> Iterator[Referred]:
    """Yield things with three expressions each, that say all of a thing: size, colour, shape and place.

    Raises:
        UsageError: the embedded data has no such split.
    """
    for key, image, scene, _ in _scenes(dataset, split):
        for number, thing in enumerate(scene.things[:REFERENCES]):
            said = make_captions(Scene((thing,)))
            yield _referred(f"{key}-{number}", key, image, tuple(said[form] for form in _DESCRIBING), thing)


def phrased_captions(dataset: str, split: str) -> Iterator[PhrasedCaption]:
    """Yield captions whose phrases have boxes; of things that are described alike there is no phrase.

    Raises:
        UsageError: the embedded data has no such split.
    """
    for key, image, scene, _ in _scenes(dataset, split):
        text = f"an image of {make_captions(scene)[0]}"
        phrases: list[Phrase] = []
        for thing in scene.things:
            words = with_article(f"{thing.size} {thing.colour} {thing.shape}")
            if text.count(words) == 1:
                start = text.index(words)
                phrases.append(Phrase(start, start + len(words), box(thing), thing.shape))
        yield PhrasedCaption(key, image, text, tuple(phrases))


def _scenes(dataset: str, split: str) -> Iterator[tuple[str, Image, Scene, str]]:
    check_split(split)
    for number in range(PICTURES):
        subject = mini_subject(f"{dataset}|{split}", number)
        scene, key = make_scene(subject), f"{split}-{number}"
        yield key, scene_image(scene, f"microworld picture {dataset} {key}"), scene, subject


def _referred(key: str, image_key: str, image: Image, expressions: Sequence[str], thing: Thing) -> Referred:
    return Referred(key, image_key, image, tuple(expressions), box(thing), thing.shape)
