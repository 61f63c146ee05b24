"""Training documents: microworld pictures with questions, captions and exemplars, as trees of tokens.

Every text stands as an evaluation prompt has it, and is cut into segments as prompts are: a text between two pictures
is one segment, and an answer to be written is a segment of its own.

    question answering  <s> [picture] "Question: {question} Answer:" "{answer}" </s>       several a picture
    caption             <s> [picture] "An image of" "{caption}" </s>
    Raven               <s> "Here are eight images:" [picture] x 8
                        "The following image is:" [picture] "Is it correct?" "Yes" </s>            four a matrix
    few-shot            <s> [picture] "Question: {question} Answer: {answer}" [picture] ... "Question: ..." "{answer}"

Subjects begin with `train-stream|`, which no evaluation split does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kosmos_eval.microworld.captions import make_captions
from kosmos_eval.microworld.drawing import draw_scene
from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.matrices import CONTEXT, make_matrix
from kosmos_eval.microworld.panels import draw_panel
from kosmos_eval.microworld.questions import make_questions
from kosmos_eval.microworld.scene import SIDE, Scene, make_scene

from ..preprocess import pixels_of
from .dense import no_labels, panel_labels, scene_labels
from .packing import Node, Picture, Words

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray
    from torch import Tensor

    from kosmos_eval.microworld.matrices import Panel
    from kosmos_eval.microworld.questions import Question

    from ..tokenizer import Tokenizer
    from .config import DataSettings

WRONG_CANDIDATES = 3
"""Wrong candidates shown of a matrix, beside the right one."""

_PERMILLE = 1000


@dataclass(slots=True)
class Documents:
    """What one forward pass is made of.

    Attributes:
        trees: the documents.
        pixels: float32[3, 96, 96] as the model reads them, one a picture in the trees' numbering.
        labels: int64[LABELS] of `dense`, one a picture.
    """

    trees: list[list[Node]] = field(default_factory=list)
    pixels: list[Tensor] = field(default_factory=list)
    labels: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, picture: PIL.Image.Image, labels: NDArray[np.int64] | None = None) -> Picture:
        """Take a picture, with its labels if it has any, and return its place in a document."""
        self.pixels.append(pixels_of(picture, SIDE))
        self.labels.append(no_labels() if labels is None else labels)
        return Picture(len(self.pixels) - 1)

    def add_scene(self, scene: Scene) -> Picture:
        """Draw a scene and return its place in a document."""
        return self.add(draw_scene(scene), scene_labels(scene))

    def add_panel(self, panel: Panel) -> Picture:
        """Draw a panel of a Raven matrix and return its place in a document."""
        return self.add(draw_panel(panel), panel_labels(panel))


class DocumentMaker:
    """Makes the documents of a step, a pure function of seed, step and place in the step."""

    def __init__(self, tokenizer: Tokenizer, settings: DataSettings, seed: int) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.seed = seed

    def make(self, step: int, part: int = 0) -> Documents:
        """Return the documents of one forward pass.

        Args:
            step: number of the optimiser step.
            part: number of the forward pass in the step, over all processes.
        """
        subject = f"train-stream|{self.seed}|{step}|{part}"
        draws = Draws(f"kind|{subject}")
        if _share(draws, self.settings.few_shot):
            return self._few_shot(subject, draws)
        if _share(draws, self.settings.raven):
            return self._raven(subject, draws)
        if _share(draws, self.settings.captions):
            return self._captions(subject, draws)
        return self._question_answering(subject, draws)

    def _question_answering(self, subject: str, draws: Draws) -> Documents:
        documents = Documents()
        index = 0
        while len(documents.pixels) < self.settings.pictures:
            own = f"{subject}|{index}"
            index += 1
            scene = make_scene(own)
            trunk: list[Words | Picture] = [Words((self.tokenizer.bos,))]
            if not _share(draws, self.settings.imageless):
                trunk.append(documents.add_scene(scene))
            tree = [Node(tuple(trunk))]
            tree += [query(self.tokenizer, each, 0) for each in make_questions(scene, own, self.settings.questions)]
            documents.trees.append(tree)
        return documents

    def _captions(self, subject: str, draws: Draws) -> Documents:
        documents = Documents()
        for index in range(self.settings.pictures):
            own = f"{subject}|{index}"
            scene = make_scene(own)
            trunk = Node((Words((self.tokenizer.bos,)), documents.add_scene(scene)))
            caption = written(self.tokenizer, "An image of", draws.choice(make_captions(scene, own)), 0)
            documents.trees.append([trunk, caption])
        return documents

    def _raven(self, subject: str, draws: Draws) -> Documents:
        """Return matrices, each with its right candidate and a few of the others."""
        documents = Documents()
        encode = self.tokenizer.encode
        for index in range(max(1, self.settings.pictures // (CONTEXT + 1 + WRONG_CANDIDATES))):
            matrix = make_matrix(f"{subject}|{index}")
            trunk: list[Words | Picture] = [Words((self.tokenizer.bos, *encode("Here are eight images:")))]
            trunk += [documents.add_panel(panel) for panel in matrix.context]
            tree = [Node(tuple(trunk))]
            wrong = [place for place in range(len(matrix.candidates)) if place != matrix.target]
            for place in (matrix.target, *draws.sample(wrong, WRONG_CANDIDATES)):
                lead = Words(tuple(encode("The following image is:")))
                asked = Words(tuple(encode("Is it correct?")))
                answer = Words((*encode("Yes" if place == matrix.target else "No"), self.tokenizer.eos), learn=True)
                tree.append(Node((lead, documents.add_panel(matrix.candidates[place]), asked, answer), 0))
            documents.trees.append(tree)
        return documents

    def _few_shot(self, subject: str, draws: Draws) -> Documents:
        """Return documents of one length; each picture also has questions that lead nowhere."""
        documents = Documents()
        shots = 1 + draws.below(self.settings.most_shots)
        for index in range(max(1, self.settings.pictures // (shots + 1))):
            tree: list[Node] = []
            start: tuple[Words | Picture, ...] = (Words((self.tokenizer.bos,)),)
            trunk: int | None = None
            for shot in range(shots + 1):
                own = f"{subject}|{index}|{shot}"
                scene = make_scene(own)
                questions = make_questions(scene, own, self.settings.questions)
                tree.append(Node((*start, documents.add_scene(scene)), trunk))
                trunk = len(tree) - 1
                tree += [query(self.tokenizer, each, trunk) for each in questions[1:]]
                start = exemplar(self.tokenizer, questions[0])
                if shot == shots:
                    tree.append(query(self.tokenizer, questions[0], trunk))
            documents.trees.append(tree)
        return documents


def query(tokenizer: Tokenizer, question: Question, parent: int) -> Node:
    """Return a question to be answered."""
    return written(tokenizer, f"Question: {question.text} Answer:", question.answer, parent)


def written(tokenizer: Tokenizer, prompt: str, text: str, parent: int) -> Node:
    """Return a prompt with the text that is to be written after it, and the end."""
    answer = (*tokenizer.encode(text), tokenizer.eos)
    return Node((Words(tuple(tokenizer.encode(prompt))), Words(answer, learn=True)), parent)


def exemplar(tokenizer: Tokenizer, question: Question) -> tuple[Words, Words]:
    """Return an exemplar's text, which is one segment, with its answer to be learnt."""
    prompt = tokenizer.encode(f"Question: {question.text} Answer:")
    whole = tokenizer.encode(f"Question: {question.text} Answer: {question.answer}")
    return Words(tuple(whole[: len(prompt)])), Words(tuple(whole[len(prompt) :]), learn=True)


def _share(draws: Draws, share: float) -> bool:
    """Return true in that share of the draws."""
    return draws.below(_PERMILLE) < share * _PERMILLE
