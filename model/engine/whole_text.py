"""Prompts and continuations that are one text: laid out as lm-eval's `hf` model encodes and cuts them.

Sources, in lm-evaluation-harness 0.4.13:
    `TemplateLM._encode_pair` and `TemplateLM.loglikelihood` (lm_eval/api/model.py): where a continuation begins.
    `HFLM._loglikelihood_tokens` and `tok_batch_encode` (lm_eval/models/huggingface.py): what is cut off.
    `HFLM.loglikelihood_rolling`, `get_rolling_token_windows` and `make_disjoint_window` (lm_eval/utils.py): windows.

What lm-eval does, and is done here as well: the prompt's tokens are those of the prompt alone, and the continuation's
what comes behind as many of the whole, even where the two disagree; a text in windows begins with `<s>` twice, of
which the second is scored, if prompts begin with `<s>` at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Failed

from .layout import Layout
from .score import Branch, ScoreJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kosmos_eval.request import Continuation, Generate, Score, WholeText

    from ..config import DecoderConfig
    from .layout import ImageTable, LayoutMaker


class _Window(NamedTuple):
    """Tokens that are read, and tokens behind them that are scored."""

    context: tuple[int, ...]
    scored: tuple[int, ...]

    def branch(self, characters: int) -> Branch:
        """Return the branch that reads the window."""
        symbols = self.context + self.scored
        return Branch(Layout(symbols, len(symbols)), len(self.scored), characters)


class WholeTexts:
    """Lays requests out whose prompt and continuation are one text."""

    def __init__(self, maker: LayoutMaker, bos: int, decoder: DecoderConfig) -> None:
        """Keep what layouts depend on.

        Args:
            maker: of layouts.
            bos: id of `<s>`.
            decoder: which says how many tokens are read at once.
        """
        self._maker = maker
        self._bos = Layout((bos,), 1)
        self._positions = decoder.max_positions

    def prompt(self, request: Generate, whole: WholeText, table: ImageTable) -> Layout | Failed:
        """Return what is read before the answer, cut so that the whole answer has room."""
        prompt = self._context(request.prompt, whole, table)
        most = (whole.most or self._positions) - request.max_new_tokens
        if len(prompt) <= most:
            return prompt
        if most < 1:
            return Failed(
                f"expected max_new_tokens to leave room for a prompt in {most + request.max_new_tokens} tokens, "
                f"got {request.max_new_tokens}; ask for fewer"
            )
        return self._cut(prompt, most)

    def score_job(self, number: int, request: Score, whole: WholeText, table: ImageTable) -> ScoreJob | Failed:
        """Return what is read of a request to score.

        Raises:
            DataError: a continuation has no tokens, or an image cannot be read.
        """
        if whole.rolling:
            texts = [[each.branch(len(text)) for each in self._windows(text, whole)] for text in _texts(request)]
            return ScoreJob(number, Layout(), tuple(each for text in texts for each in text), tuple(map(len, texts)))
        branches = []
        for each in request.continuations:
            branch = self._branch(request.prompt + each.lead, each, whole, table)
            if isinstance(branch, Failed):
                return branch
            branches.append(branch)
        return ScoreJob(number, Layout(), tuple(branches))

    def _context(self, prompt: Prompt, whole: WholeText, table: ImageTable) -> Layout:
        read = self._maker.piece(prompt, table)
        return self._bos + read if whole.begin or not read.symbols else read

    def _branch(
        self, prompt: Prompt, continuation: Continuation, whole: WholeText, table: ImageTable
    ) -> Branch | Failed:
        *before, last = prompt.parts or ("",)
        if not isinstance(last, str):
            before, last = [*before, last], ""
        kept = last.rstrip()
        read = self._maker.text(kept)
        text = self._maker.text(last + continuation.text).symbols[len(read) :]
        if not text:
            raise _no_tokens(continuation.text)
        context = self._context(Prompt((*before, kept)), whole, table)
        most = whole.most or self._positions
        sequence = context + Layout(text, len(text))
        if len(sequence) > most + 1:
            if len(text) > most:
                return _too_long("continuation", most, len(text))
            cut = self._cut(sequence, most + 1)
            if isinstance(cut, Failed):
                return cut
            sequence = cut
        return Branch(sequence, len(text), len(continuation.text))

    def _windows(self, text: str, whole: WholeText) -> list[_Window]:
        tokens = self._maker.text(text).symbols
        if not tokens:
            raise _no_tokens(text)
        if whole.begin:
            tokens = self._bos.symbols + tokens
        return list(_windows(tokens, self._bos.symbols, whole.most or self._positions))

    @staticmethod
    def _cut(layout: Layout, most: int) -> Layout | Failed:
        if any(symbol < 0 for symbol in layout.symbols):
            return _too_long("prompt with images", most, len(layout))
        return Layout(layout.symbols[-most:], most)


def _texts(request: Score) -> Iterator[str]:
    return (each.text for each in request.continuations)


def _windows(tokens: Sequence[int], prefix: tuple[int, ...], most: int) -> Iterator[_Window]:
    """Yield windows that score every token once, each behind as many as can be read with it."""
    tokens = tuple(tokens)
    yield _Window(prefix, tokens[:most])
    for start in range(most, len(tokens), most):
        end = min(start + most, len(tokens))
        yield _Window(tokens[end - most - 1 : start], tokens[start:end])


def _no_tokens(text: str) -> DataError:
    message = f"expected continuation {text!r} to have tokens, got none; the tokenizer drops it all"
    return DataError(message)


def _too_long(what: str, most: int, length: int) -> Failed:
    reason = f"expected a {what} of at most {most} tokens, which are read at once, got {length}"
    return Failed(f"{reason}; ask for fewer shots or shorter texts", length - most)
