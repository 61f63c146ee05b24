"""Bird pairs: two species that are alike, told apart with or without a description of each.

Source: KOSMOS-1 (arXiv 2302.14045), zero-shot image classification with descriptions, tables 11 and 12 and figure 6.
With descriptions the prompt is "Description of {name}: {text}" for both species, the picture, and "Question:what is the
name of {general category} in the picture? Answer:"; without, the picture and "Question:what is the name of the
woodpecker in the picture, three toed or downy? Answer:". The model writes freely.

The paper's pictures, three pairs of 20 each, are not published; CUB-200-2011 has no penguins. How an answer is matched
is not said, but figure 6 takes "three toe woodpecker" for the three toed woodpecker: words are compared loosely here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from kosmos_eval.choice import By, choose, weights_of
from kosmos_eval.data.hub import HubSettings
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Generate, Generated, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import About, Metric, Score

from .pairs import find_pairs, stems
from .sources import SPLITS, HubPlace, read_folder, read_hub, read_mini

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

    from .pairs import Pair
    from .sources import CubSample

Match = Literal["names", "scoring"]


@dataclass(frozen=True)
class CubDescriptions(HubSettings):
    """Bird pairs with and without descriptions.

    Attributes:
        split: test or train, as CUB divides its pictures. Of a folder of pictures, the ones that are chosen are test
            and the next ones train.
        exemplar_split: likewise.
        described: the prompt describes both species; otherwise it names them, as the paper's baseline does.
        match: `names` reads the species out of the text by the words that only it is called by, whatever their ending
            (toe, toed), and one that holds both or neither is unparsed; `scoring` asks which of the two whole names is
            likelier. A choice: the paper does not say.
        scored_by: with `scoring`, names are compared by their log-likelihood a token (`per_token`), in all (`total`) or
            a character (`per_character`). A choice.
        pairs: a file of pairs, CSV or a JSON list, with the columns pair, category, folder, name, short and
            description, two rows a pair; `paper` for the paper's three; `cub` for the two that CUB has. Empty is
            pairs.csv or pairs.json in the folder, else `paper`, and `cub` on the hub.
        images_per_class: pictures of each species, as in the paper.
        image_seed: draws which ones; empty takes the first by name. A choice: the paper does not say.
        joint: text after each description. A choice: a space.
        max_new_tokens: most tokens of an answer. A choice.
        stop: texts that end an answer besides the model's end token. A choice.
        separator: text after each exemplar, of which the paper has none. A choice.
        hub_id: dataset on the hub, or a local copy of one, with the columns image and label, and names of the labels
            such as 001.Black_footed_Albatross; its other columns have not been seen.
    """

    name: ClassVar[str] = "cub_descriptions"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Tell two species of birds apart by descriptions, as in KOSMOS-1 tables 11 and 12."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "share of pictures whose species is named (KOSMOS-1, arXiv 2302.14045, table 12)"),
    )
    splits: ClassVar[tuple[str, ...]] = SPLITS
    variants: ClassVar[Mapping[str, Mapping[str, bool]]] = {
        "described": {"described": True},
        "names": {"described": False},
    }
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("", "names"), "classification": ("", "names")}
    answered_in: ClassVar[tuple[str, ...]] = ("target",)
    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), tables 11 and 12: 61.7 without and 90.0 with descriptions.",
        files=(
            "`CUB_200_2011/`: `images.txt`, `classes.txt`, `image_class_labels.txt`, `train_test_split.txt` and "
            "`images/` (vision.caltech.edu/datasets/cub_200_2011)\n"
            "`pairs.csv`: `pair,category,folder,name,short,description`, two rows a pair; `folder` is a class of CUB "
            "or any folder of pictures. Without it, the paper's pairs, whose penguins go to `Gentoo_penguin/` and "
            "`royal_penguin/`"
        ),
        licence="CUB-200-2011: for non-commercial research and education; the photographs are their owners'.",
        deviations=(
            "The paper's 120 pictures are not published, and CUB has no penguins: reproducible in spirit only.",
            "When an answer is right is not said: here, when it has the words that only this species is called by.",
        ),
        exempt={"leak": "the question names both species, or their descriptions do"},
    )

    split: str = "test"
    exemplar_split: str = "train"
    described: bool = True
    match: Match = "names"
    scored_by: By = "per_token"
    pairs: str = ""
    images_per_class: int = 20
    image_seed: int | None = None
    joint: str = " "
    max_new_tokens: int = 16
    stop: tuple[str, ...] = ("\n", "Question:", "Description of")
    separator: str = " "
    hub_id: str = "bentrevett/caltech-ucsd-birds-200-2011"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("match", self.match, get_args(Match)),
            ("scored_by", self.scored_by, get_args(By)),
        ):
            if value not in known:
                kind = f"value of cub_descriptions.{name}"
                raise UnknownNameError(kind, str(value), known)
        for name, number in (("images_per_class", self.images_per_class), ("max_new_tokens", self.max_new_tokens)):
            if number < 1:
                message = f"cub_descriptions: expected {name} to be at least 1, got {number}"
                raise UsageError(message)
        if "" in self.stop:
            message = "cub_descriptions: expected every stop text to have characters, got ''"
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[CubSample]:
        """Return the split's pictures, pair by pair and species by species, unopened.

        Raises:
            DataError: a file, a pair or a picture is missing or inconsistent.
            UsageError: there is no such split.
        """
        if split not in SPLITS:
            kind = "split of cub_descriptions"
            raise UnknownNameError(kind, split, SPLITS)
        count = self.images_per_class
        if source.kind == "mini":
            return list(read_mini(split, count))
        if source.kind == "folder":
            pairs = find_pairs(source.folder, self.pairs)
            found = read_folder(source.folder, split, pairs, count, self._order)
        else:
            pairs = find_pairs(None, self.pairs)
            place = HubPlace(*self.hub_place(exemplars=split != self.split))
            found = read_hub(place, split, pairs, count, self._order)
        if split == self.split:
            self._check(found, pairs)
        return found

    def _order(self, names: Iterable[str]) -> list[str]:
        seed = self.image_seed
        if seed is None:
            return sorted(names)
        return sorted(names, key=lambda name: hashlib.sha256(f"{seed}|{name}".encode()).digest())

    def _check(self, samples: Sequence[CubSample], pairs: Iterable[Pair]) -> None:
        """Raise a `DataError` for a species that has fewer pictures than are asked for."""
        shown = Counter((sample.pair, sample.target) for sample in samples)
        for pair in pairs:
            for target, bird in enumerate(pair.birds):
                if (count := shown[pair, target]) < self.images_per_class:
                    message = (
                        f"cub_descriptions: expected {self.images_per_class} pictures of the {bird.name} in split "
                        f"{self.split}, got {count}; add some to {bird.folder}, or ask for fewer: "
                        f"--set cub_descriptions.images_per_class={max(count, 1)}"
                    )
                    raise DataError(message)

    def ask(
        self, sample: CubSample, exemplars: Sequence[CubSample]
    ) -> Generator[Request, Response, str | tuple[float, ...]]:
        """Ask for the name, the exemplars with theirs in front; return what was written, or the names' weights."""
        shown = [
            Prompt.of(self._question(each), f" {each.pair.birds[each.target].name}{self.separator}")
            for each in exemplars
        ]
        prompt = Prompt.of(*shown, self._question(sample))
        if self.match == "scoring":
            scored = yield ScoreRequest(prompt, tuple(Continuation(bird.name) for bird in sample.pair.birds))
            assert isinstance(scored, Scored)
            return weights_of(scored.continuations, self.scored_by)
        written = yield Generate(prompt, max_new_tokens=self.max_new_tokens, stop=self.stop)
        assert isinstance(written, Generated)
        return written.text

    def _question(self, sample: CubSample) -> Prompt:
        pair = sample.pair
        if not self.described:
            options = " or ".join(bird.short for bird in pair.birds)
            asked = f"Question:what is the name of the {pair.category} in the picture, {options}? Answer:"
            return Prompt.of(sample.image, asked)
        described = "".join(f"Description of {bird.name}: {bird.description}{self.joint}" for bird in pair.birds)
        asked = f"Question:what is the name of {pair.category} in the picture? Answer:"
        return Prompt.of(described, sample.image, asked)

    def gold(self, sample: CubSample, request: Request) -> str | int:
        """Return the species' name, or its place."""
        return sample.pair.birds[sample.target].name if isinstance(request, Generate) else sample.target

    def score(self, sample: CubSample, answer: str | tuple[float, ...]) -> Score:
        """Return whether the species is the right one; an answer of neither or both is unparsed and earns nothing."""
        names = [bird.name for bird in sample.pair.birds]
        right = names[sample.target]
        if isinstance(answer, tuple):
            choice = choose(answer)
            if choice.spoilt is not None:
                said = f"the log-likelihood of {names[choice.spoilt]!r} is not finite"
                return Score({"accuracy": 0.0}, None, right, said)
            said = "the likelier name" if len(choice.best) == 1 else "both names are equally likely"
            chosen = " or ".join(names[place] for place in choice.best)
            return Score({"accuracy": choice.share(sample.target)}, chosen, right, said, choice.margin)
        held = stems(answer)
        found = [place for place, words in enumerate(sample.pair.words()) if words <= held]
        if len(found) != 1:
            said = "both species are named" if found else "neither species is named" if held else "empty"
            return Score({"accuracy": 0.0}, None, right, said)
        short = sample.pair.birds[found[0]].short
        return Score({"accuracy": float(found[0] == sample.target)}, names[found[0]], right, f"it says {short}")


if TYPE_CHECKING:
    _CHECKED: type[Task[CubSample, str | tuple[float, ...]]] = CubDescriptions
