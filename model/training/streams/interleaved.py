"""Documents in which pictures and text take turns.

questions   <s> [picture] "Question: {question} Answer:" "{answer}" </s>           several behind one picture
reading     the same about a rendered word
kinds       the same about named kinds of things, and "{how is a kind beside what is shown?}" "{answer}" </s>
few-shot    <s> [picture] "Question: {question} Answer: {answer}" [picture] ... "Question: ..." "{answer}" </s>
pages       <s> [picture] "{sentence}" [picture] "{sentence}" ... "Question: In the second picture, ..." ...
Raven       <s> "Here are eight images:" [picture] x 8
                "The following image is:" [picture] "Is it correct?" "Yes" </s>             several a matrix
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.microworld.captions import make_captions
from kosmos_eval.microworld.commonsense import make_kind_comparisons, make_kind_questions, make_kind_scene
from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.matrices import make_matrix
from kosmos_eval.microworld.questions import make_questions
from kosmos_eval.microworld.scene import make_scene
from kosmos_eval.microworld.words import make_word, make_word_questions

from ..documents import about_kinds, kind_of, written
from ..packing import Node, Picture, Words

if TYPE_CHECKING:
    from ...tokenizer import Tokenizer
    from ..config import StreamSettings
    from ..documents import Documents

WRONG_CANDIDATES = 3
"""Wrong candidates shown of a matrix, beside the right one."""

_LOOKS = 2
"""Questions about looks and places, that name no kind, beside a picture of named kinds."""

_COMPARED = 8
"""Questions that compare kinds with the things of a picture, beside a picture of named kinds."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_PERMILLE = 1000


def question_prompt(question: str) -> str:
    """Return a question as the benchmarks ask it."""
    return f"Question: {question} Answer:"


class Interleaved:
    """Questions, solved questions, pages and matrices."""

    def __init__(self, tokenizer: Tokenizer, settings: StreamSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return a document of one of the kinds."""
        settings = self._settings
        if about_kinds(settings.kinds, subject):
            return self._kinds(subject, documents)
        shares = (
            ("reading", settings.reading),
            ("few-shot", settings.few_shot),
            ("page", settings.pages),
            ("matrix", settings.raven),
            ("questions", 1.0),
        )
        draws = Draws(f"interleaved|{subject}")
        match kind_of(draws, shares):
            case "reading":
                return self._reading(subject, documents)
            case "few-shot":
                return self._few_shot(subject, draws, documents)
            case "page":
                return self._page(subject, draws, documents)
            case "matrix":
                return self._matrix(subject, draws, documents)
            case _:
                return self._questions(subject, draws, documents)

    def _begin(self) -> Words:
        return Words((self._tokenizer.bos,))

    def _query(self, question: str, answer: str, parent: int) -> Node:
        return written(self._tokenizer, question_prompt(question), answer, parent, self._settings.prompts)

    def _questions(self, subject: str, draws: Draws, documents: Documents) -> tuple[Node, ...]:
        scene = make_scene(subject)
        trunk: tuple[Words | Picture, ...] = (self._begin(),)
        asked = make_questions(scene, subject, self._settings.questions)
        if draws.below(_PERMILLE) >= self._settings.imageless * _PERMILLE:
            trunk = (*trunk, documents.add_scene(scene))
        return (Node(trunk), *(self._query(each.text, each.answer, 0) for each in asked))

    def _kinds(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        shown = make_kind_scene(subject)
        asked = [(each.text, each.answer) for each in make_kind_questions(shown, subject)]
        asked += [(each.text, each.answer) for each in make_questions(shown.scene, subject, _LOOKS)]
        tree = [Node((self._begin(), documents.add_scene(shown.scene)))]
        tree += [self._query(question, answer, 0) for question, answer in asked]
        tree += [
            written(self._tokenizer, each.text, each.answer, 0, self._settings.prompts)
            for each in make_kind_comparisons(shown.scene, subject, _COMPARED)
        ]
        return tuple(tree)

    def _reading(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        word = make_word(subject)
        trunk = Node((self._begin(), documents.add_word(word)))
        return (trunk, *(self._query(each.text, each.answer, 0) for each in make_word_questions(word, subject)))

    def _few_shot(self, subject: str, draws: Draws, documents: Documents) -> tuple[Node, ...]:
        """Return solved questions in a row; each picture also has questions that lead nowhere."""
        tree: list[Node] = []
        start: tuple[Words | Picture, ...] = (self._begin(),)
        trunk: int | None = None
        asked: tuple[Node, ...] = ()
        for place in range(2 + draws.below(self._settings.most_pictures - 1)):
            own = f"{subject}|{place}"
            scene = make_scene(own)
            first, *others = make_questions(scene, own, self._settings.questions)
            tree.append(Node((*start, documents.add_scene(scene)), trunk))
            trunk = len(tree) - 1
            tree += [self._query(each.text, each.answer, trunk) for each in others]
            asked = (self._query(first.text, first.answer, trunk),)
            start = self._solved(first.text, first.answer)
        return (*tree, *asked)

    def _solved(self, question: str, answer: str) -> tuple[Words, Words]:
        """Return an exemplar's text, which is one segment, its question and its answer apart."""
        prompt = self._tokenizer.encode(question_prompt(question))
        whole = self._tokenizer.encode(f"{question_prompt(question)} {answer}")
        return (
            Words(tuple(whole[: len(prompt)]), self._settings.prompts),
            Words(tuple(whole[len(prompt) :]), 1.0),
        )

    def _page(self, subject: str, draws: Draws, documents: Documents) -> tuple[Node, ...]:
        """Return pictures, each with a sentence, and behind them questions about one of them each."""
        parts: list[Words | Picture] = [self._begin()]
        scenes = [
            make_scene(f"{subject}|{place}") for place in range(2 + draws.below(self._settings.most_pictures - 1))
        ]
        for scene in scenes:
            sentence = draws.choice(make_captions(scene)[:3])
            said = self._tokenizer.encode(f"{sentence[0].upper()}{sentence[1:]}.")
            parts += [documents.add_scene(scene), Words(tuple(said), self._settings.prompts)]
        tree = [Node(tuple(parts))]
        for place in draws.sample(range(len(scenes)), 2):
            asked = make_questions(scenes[place], f"{subject}|{place}", 1)[0]
            question = f"In the {_ORDINALS[place]} picture, {asked.text[0].lower()}{asked.text[1:]}"
            tree.append(self._query(question, asked.answer, 0))
        return tuple(tree)

    def _matrix(self, subject: str, draws: Draws, documents: Documents) -> tuple[Node, ...]:
        """Return a Raven matrix with its right candidate and a few of the others."""
        encode = self._tokenizer.encode
        matrix = make_matrix(subject)
        trunk: list[Words | Picture] = [Words((self._tokenizer.bos, *encode("Here are eight images:")))]
        trunk += [documents.add_panel(panel) for panel in matrix.context]
        tree = [Node(tuple(trunk))]
        wrong = [place for place in range(len(matrix.candidates)) if place != matrix.target]
        for place in (matrix.target, *draws.sample(wrong, WRONG_CANDIDATES)):
            lead = Words(tuple(encode("The following image is:")))
            asked = Words(tuple(encode("Is it correct?")))
            answer = Words((*encode("Yes" if place == matrix.target else "No"), self._tokenizer.eos), 1.0)
            tree.append(Node((lead, documents.add_panel(matrix.candidates[place]), asked, answer), 0))
        return tuple(tree)
