"""Any model of ours as a model of lm-eval (lm-evaluation-harness 0.4.13), pictures in multiple choice included.

Importing this module registers the model `kosmos` with lm-eval, which looks for no plugins of its own:

    import lm_eval
    from kosmos_eval.model.lm_eval_bridge import KosmosLM

    lm_eval.simple_evaluate(model=KosmosLM("kosmos-tiny"), tasks=["piqa"])
    lm_eval.simple_evaluate(model="kosmos", model_args="pretrained=FOLDER,dtype=float32", tasks=["piqa"])

`python -m kosmos_eval.model.lm_eval_bridge run --model kosmos ...` is lm-eval's own command line with that model.

Every call hands all its requests to the engine as one stream, so that contexts are read once however many
continuations and tasks share them. Values are those of lm-eval's `hf` model (`HFLM`) with the same weights, to float
rounding, its double `<s>` in `loglikelihood_rolling` included, but for this:

    - A text is a text: `<s>` or `</s>` in one is no special token, and no end of an answer.
    - An answer ends where the model would show a picture.
    - A rolling text without characters has log-likelihood 0.
    - Settings that `HFLM` would pass on unread to transformers are errors, and so is sampling.
    - A context with pictures that is too long is an error, as a picture cannot be cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import lm_eval.models  # noqa: F401  first: lm-eval registers its own models only while there are none
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from kosmos_eval.errors import RequestFailedError, UsageError
from kosmos_eval.language_model import ModelOptions
from kosmos_eval.lm_eval_tasks.requests import Contexts, generate_request, rolling_request, score_requests
from kosmos_eval.model_names import find_model
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Failed, Generated, Scored, WholeText

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kosmos_eval.language_model import Model, ModelSpec
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import LogLikelihood, Request, Response

_NO_TEMPLATE = "expected no chat template, as Kosmos models have none; run without apply_chat_template"

_Answer = TypeVar("_Answer", Generated, Scored)


@register_model("kosmos")
class KosmosLM(LM):  # type: ignore[misc]  # as above
    """A model that answers lm-eval's requests.

    Attributes:
        MULTIMODAL: lets lm-eval run tasks that hand pictures along.
    """

    MULTIMODAL = True

    def __init__(
        self,
        pretrained: str | Model = "kosmos-tiny",
        *,
        dtype: str = "float32",
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | str | None = None,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        **arguments: object,
    ) -> None:
        """Load a model, or take one that is loaded.

        Args:
            pretrained: a model, or what `kosmos-eval run --model` takes: a name, a folder, or the Hub's `OWNER/NAME`.
            dtype: `float32`, `bfloat16` or `float16`.
            device: `cpu`, `cuda`, `cuda:1`, `mps`; `None` is a GPU if there is one.
            batch_size: sequences in one forward pass; `None` and `auto` leave it to the memory there is.
            max_batch_size: not needed, and not looked at.
            max_length: tokens that are read at once; `None` is the model's positions.
            add_bos_token: whether sequences begin with `<s>`, as Kosmos's own do; `None` is yes.
            arguments: of the model's own, such as `revision` or `device_map`.

        Raises:
            UsageError: there is no such model, or an argument is unknown or malformed.
            DataError: the model's files are missing or malformed.
        """
        super().__init__()
        del max_batch_size
        self._spec: ModelSpec | None = None
        self._whole = WholeText(add_bos_token is not False, _length(max_length))
        if isinstance(pretrained, str):
            given = {
                name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in arguments.items()
            }
            self._spec, found = find_model(pretrained, given, Plugins())
            self._options = ModelOptions(device or "auto", dtype, _batch_size(batch_size), found)
            self._model: Model = self._spec.load(self._options)
        elif arguments:
            message = f"expected no arguments for a model that is loaded, got {', '.join(arguments)}"
            raise UsageError(message)
        else:
            self._options, self._model = ModelOptions(), pretrained
        self._device = self._model.facts.get("device")

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval keeps prepared requests under: the model's name, as there is no chat template in them."""
        place = self._options.arguments.get("pretrained", "")
        name = self._spec.name if self._spec else type(self._model).__name__
        return "__".join([name, *filter(None, place.split("/"))])

    def chat_template(self, chat_template: bool | str = False) -> str:  # noqa: FBT001, FBT002  as lm-eval calls it
        """Return the empty text.

        Raises:
            UsageError: a template is asked for.
        """
        if chat_template:
            raise UsageError(_NO_TEMPLATE)
        return ""

    def apply_chat_template(self, chat_history: object, add_generation_prompt: bool = True) -> str:  # noqa: ARG002, FBT001, FBT002  as above
        """Raise, as Kosmos models have no chat template.

        Raises:
            UsageError: always.
        """
        raise UsageError(_NO_TEMPLATE)

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm-eval writes into its results about the model."""
        facts = self._model.facts
        info = {"model_num_parameters": facts.get("parameters"), "model_dtype": facts.get("dtype")}
        return {**info, "model_fingerprint": self._spec.fingerprint(self._options)} if self._spec else info

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: ARG002, FBT001, FBT002  as above
        """Return for each (context, continuation[, pictures]) its log-likelihood, and whether it is greedy.

        Raises:
            DataError: a continuation is blank or has no tokens, or pictures do not fit their context or are unreadable.
            RequestFailedError: a request is too long, or too big for the machine.
        """
        contexts = Contexts()
        pairs = [(_prompt(contexts, each.args), each.args[1]) for each in requests]
        asked = score_requests(pairs, self._whole)
        found: dict[int, tuple[float, bool]] = {}
        for place, scored in self._answers([each.request for each in asked], Scored):
            for number, likelihood in zip(asked[place].numbers, scored.continuations, strict=True):
                found[number] = _value(likelihood)
                self.cache_hook.add_partial("loglikelihood", requests[number].args, found[number])
        return [found[number] for number in range(len(requests))]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002, FBT001, FBT002  as above
        """Return the log-likelihood of each text, read in windows of the model's length.

        Raises:
            DataError: a text has no tokens.
        """
        found = [0.0] * len(requests)
        asked = [(number, rolling_request(each.args[0], self._whole)) for number, each in enumerate(requests)]
        wanted = [(number, request) for number, request in asked if request is not None]
        for place, scored in self._answers([request for _, request in wanted], Scored):
            found[wanted[place][0]] = scored.continuations[0].total
        for each, total in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", each.args, total)
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002, FBT001, FBT002  as above
        """Return what follows each (context, settings[, pictures]), up to the first stop text.

        Raises:
            DataError: pictures do not fit their context or are unreadable.
            RequestFailedError: a request is too long, or too big for the machine.
            UsageError: a setting is unknown or malformed, or asks for sampling.
        """
        contexts = Contexts()
        asked = [generate_request(_prompt(contexts, each.args), each.args[1], self._whole) for each in requests]
        found: dict[int, str] = {}
        for number, generated in self._answers(asked, Generated):
            found[number] = generated.text
            self.cache_hook.add_partial("generate_until", requests[number].args, generated.text)
        return [found[number] for number in range(len(requests))]

    def _answers(self, requests: Sequence[Request], kind: type[_Answer]) -> Iterator[tuple[int, _Answer]]:
        for number, answer in self._model.answer(enumerate(requests)):
            yield number, _of_kind(answer, kind, requests[number])


def _of_kind(answer: Response | Failed, kind: type[_Answer], request: Request) -> _Answer:
    if isinstance(answer, Failed):
        message = f"{request.prompt.text()!r:.80}: {answer.reason}"
        raise RequestFailedError(message, answer.excess)
    if not isinstance(answer, kind):
        message = f"expected the model to answer with {kind.__name__}, got {type(answer).__name__}"
        raise TypeError(message)
    return answer


def _value(likelihood: LogLikelihood) -> tuple[float, bool]:
    return likelihood.total, likelihood.greedy


def _prompt(contexts: Contexts, arguments: Sequence[Any]) -> Prompt:
    """Return the prompt of an instance; behind its own arguments there may be one with pictures."""
    multimodal: Mapping[str, object] | None = arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004  as it says
    return contexts.prompt(arguments[0], multimodal)


def _batch_size(given: int | str | None) -> int | None:
    if given is None or str(given).startswith("auto"):
        return None
    if not str(given).isdecimal():
        message = f"expected batch_size to be auto or a whole number from 1, got {given!r}"
        raise UsageError(message)
    return int(given)


def _length(given: object) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        message = f"expected max_length to be a whole number from 1, got {given!r}"
        raise UsageError(message)
    return given if isinstance(given, int) else None


def main() -> None:
    """Run lm-eval's own command line, which knows the model `kosmos` in this process."""
    from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415  who evaluates from Python needs no command line

    cli_evaluate()


if __name__ == "__main__":
    main()
