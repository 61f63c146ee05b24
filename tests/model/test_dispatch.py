"""A model spread over memory and disk answers as the whole one does; one that would not is refused."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from accelerate import dispatch_model

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.language_model import ModelOptions
from kosmos_eval.model.arguments import Placement
from kosmos_eval.model.checkpoint import load_kosmos, save_kosmos, spread_kosmos
from kosmos_eval.model.config import KosmosConfig
from kosmos_eval.model.decoder import DecoderBlock
from kosmos_eval.model.device_map import loose_weights, units
from kosmos_eval.model.dispatch import dispatch, empty_model
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.weights import Checkpoint, ModelWeights
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated, Scored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kosmos_eval.model.dispatch import Dispatched
    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Failed, Request, Response

pytestmark = pytest.mark.usefixtures("letters_on_disk")


class Variant(NamedTuple):
    """As the one that models of the tests are made by."""

    positions: str
    connector: str


@pytest.fixture(params=[("xpos", "resampler"), ("sinusoidal", "x-attention")], ids="-".join)
def model(request: pytest.FixtureRequest, make_model: Callable[[Variant], Kosmos]) -> Kosmos:
    return make_model(Variant(*request.param))


@pytest.fixture
def folder(model: Kosmos, tokenizer: SegmentTokenizer, tmp_path: Path) -> Path:
    save_kosmos(model, tokenizer, tmp_path / "model", torch.float32)  # type: ignore[arg-type]  # as good as one
    return tmp_path / "model"


def spread(folder: Path, arguments: dict[str, str], dtype: torch.dtype = torch.float32) -> Dispatched:
    placement = Placement.from_arguments(arguments)
    assert placement is not None
    return spread_kosmos(folder, placement, "cpu", dtype).dispatched


def on_disk(folder: Path, memory: str = "cpu:20KB", dtype: torch.dtype = torch.float32) -> Dispatched:
    offload = str(folder.parent / "offload")
    return spread(folder, {"device_map": "auto", "max_memory": memory, "offload_folder": offload}, dtype)


def answers(
    model: Kosmos, tokenizer: SegmentTokenizer, requests: list[tuple[int, Request]]
) -> dict[int, Response | Failed]:
    return dict(KosmosModel(model, tokenizer).answer(requests))


def assert_alike(one: dict[int, Response | Failed], other: dict[int, Response | Failed]) -> None:
    """All tokens and choices are the same, and all log-probabilities to rounding."""
    assert one.keys() == other.keys()
    for number, answer in one.items():
        same = other[number]
        if isinstance(answer, Generated):
            assert isinstance(same, Generated)
            assert (answer.tokens, answer.text) == (same.tokens, same.text)
            assert answer.logprobs == pytest.approx(same.logprobs, abs=1e-5)
        else:
            assert isinstance(answer, Scored)
            assert isinstance(same, Scored)
            for mine, theirs in zip(answer.continuations, same.continuations, strict=True):
                assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
                assert mine.greedy == theirs.greedy


@pytest.mark.parametrize("memory", ["cpu:20KB", "cpu:60KB"])
def test_scores_greedy_answers_and_beams_from_disk_are_those_of_the_whole_model(
    folder: Path,
    tokenizer: SegmentTokenizer,
    make_requests: Callable[[int], list[tuple[int, Request]]],
    make_picture: Callable[[int], Image],
    memory: str,
) -> None:
    rng = random.Random(5)
    beams: list[tuple[int, Request]] = [
        (number, Generate(Prompt.of(make_picture(number), "abcdef"[: rng.randint(0, 6)]), 6, num_beams=3))
        for number in range(4)
    ]
    requests = make_requests(3) + beams
    dispatched = on_disk(folder, memory)
    assert dispatched.modules["disk"] > 2
    whole = answers(load_kosmos(folder).model, tokenizer, requests)
    assert_alike(answers(dispatched.model, tokenizer, requests), whole)
    assert any(weight.is_meta for weight in dispatched.model.decoder.parameters())


@pytest.mark.parametrize("arguments", [{"device_map": "cpu"}, {"device_map": "auto"}])
def test_a_model_that_fits_is_all_on_one_device(
    folder: Path,
    tokenizer: SegmentTokenizer,
    make_requests: Callable[[int], list[tuple[int, Request]]],
    arguments: dict[str, str],
) -> None:
    dispatched = spread(folder, arguments)
    assert dispatched.modules == {"cpu": len(units(dispatched.model))}
    requests = make_requests(4)
    whole = answers(load_kosmos(folder).model, tokenizer, requests)
    assert_alike(answers(dispatched.model, tokenizer, requests), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_survives_the_disk(folder: Path, dtype: torch.dtype) -> None:
    dispatched = on_disk(folder, "cpu:20KB", dtype)
    assert dispatched.modules["disk"] > 1
    assert {weight.dtype for weight in dispatched.model.parameters()} == {dtype}
    assert dispatched.finding.largest_difference <= dispatched.finding.tolerance


def test_an_embedding_without_room_serves_from_disk_as_head_too(folder: Path) -> None:
    dispatched = on_disk(folder, "cpu:14KB")
    assert dispatched.model.decoder.embedding.weight.is_meta
    assert dispatched.model.decoder.head.weight.is_meta
    assert dispatched.finding.largest_difference == pytest.approx(0, abs=1e-6)


def test_what_is_on_disk_goes_with_the_model(folder: Path) -> None:
    dispatched = on_disk(folder)
    (made,) = (folder.parent / "offload").iterdir()
    assert any(made.iterdir())
    del dispatched
    assert not made.exists()


def test_facts_say_where_everything_is_and_how_close_it_came(folder: Path, tokenizer: SegmentTokenizer) -> None:
    dispatched = on_disk(folder)
    whole = load_kosmos(folder).model
    facts = KosmosModel(dispatched.model, tokenizer, dispatched=dispatched).facts
    json.dumps(facts)
    assert facts["parameters"] == sum(weight.numel() for weight in whole.parameters())
    assert (facts["device"], facts["dtype"]) == ("cpu", "float32")
    assert sum(facts["device_map"].values()) == len(units(whole))
    assert facts["probe"]["outputs"] == len(units(whole)) + 1
    assert 0 <= facts["probe"]["largest_difference"] <= facts["probe"]["tolerance"]
    assert KosmosModel(whole, tokenizer).facts["device_map"] is None


def test_a_model_has_no_buffers_and_no_weights_but_those_of_units_and_the_loose_ones(model: Kosmos) -> None:
    assert not list(model.buffers())
    held = {f"{name}.{each}" for name, unit in units(model).items() for each, _ in unit.named_parameters()}
    assert held | set(loose_weights(model)) == model.state_dict().keys()


def test_disk_is_not_used_unasked(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"offload_folder=DIR.*go to disk, got none"):
        spread(folder, {"device_map": "auto", "max_memory": "cpu:20KB"})


def test_memory_too_small_for_what_must_stay_is_an_error(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"cpu to have room for .* kB of norms"):
        on_disk(folder, "cpu:1KB")


def test_a_device_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"devices in use \(cpu\), got cuda:7"):
        on_disk(folder, "cpu:20KB;7:1GB")
    options = ModelOptions(device="cpu", arguments={"device_map": "cuda:99"})
    with pytest.raises(UsageError, match="cuda:99"):
        KosmosModel.load(folder, options)


def test_an_offload_folder_that_cannot_be_made_is_an_error(folder: Path) -> None:
    (folder.parent / "offload").write_text("a file")
    with pytest.raises(DataError, match=r"offload_folder .*expected a folder to write to"):
        on_disk(folder)


def test_a_disk_without_room_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 10})
    monkeypatch.setattr("kosmos_eval.model.dispatch.shutil.disk_usage", lambda _: full)
    with pytest.raises(DataError, match="GB free for the weights that go there"):
        on_disk(folder)


def assert_refused(folder: Path, module: str, memory: str = "cpu:20KB") -> None:
    with pytest.raises(DataError, match=module) as caught:
        on_disk(folder, memory)
    assert "\n" not in str(caught.value)
    assert not list((folder.parent / "offload").iterdir())


def test_a_head_that_reads_the_weight_of_another_module_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: outside its module's call the weight is not there, and torch multiplies with what memory holds."""

    def broken(model: Kosmos, places: dict[str, str], main: str, offload_dir: str) -> None:
        dispatch_model(model, places, main, offload_dir=offload_dir)
        monkeypatch.setattr(model.decoder, "logits", lambda hidden: F.linear(hidden, model.decoder.embedding.weight))

    monkeypatch.setattr("kosmos_eval.model.dispatch.dispatch_model", broken)
    assert_refused(folder, "decoder.head, placed on disk, to compute what its weights do|to run as it is", "cpu:14KB")


def test_a_dispatch_that_leaves_other_weights_is_refused_by_the_name_of_the_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: Kosmos, places: dict[str, str], main: str, offload_dir: str) -> None:
        dispatch_model(model, places, main, offload_dir=offload_dir)
        hook: Any = model.get_submodule("decoder.blocks.1.feed_forward.fc1")._hf_hook
        kept = hook.weights_map
        hook.weights_map = {name: 1.01 * kept[name] for name in ("weight", "bias")}

    monkeypatch.setattr("kosmos_eval.model.dispatch.dispatch_model", broken)
    assert_refused(folder, r"expected decoder\.blocks\.1, placed on disk, to compute what its weights do.*off")


def test_weights_that_are_no_numbers_are_told_from_a_bad_dispatch(
    model: Kosmos, tokenizer: SegmentTokenizer, folder: Path
) -> None:
    block = model.decoder.blocks[0]
    assert isinstance(block, DecoderBlock)
    with torch.no_grad():
        block.feed_forward.fc2.bias[0] = torch.inf
    save_kosmos(model, tokenizer, folder, torch.float32)  # type: ignore[arg-type]  # as above
    assert_refused(folder, r"decoder\.blocks\.0 to return numbers, got NaN or infinity from the weights")


def test_an_empty_model_takes_no_memory(model: Kosmos) -> None:
    assert all(weight.is_meta for weight in empty_model(model.config).parameters())


class Held(NamedTuple):
    """Weights in memory, in place of a checkpoint's files."""

    weights: dict[str, torch.Tensor]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(weight.shape) for name, weight in self.weights.items()}

    def tensor(self, name: str) -> torch.Tensor:
        return self.weights[name]


def spread_held(config: KosmosConfig, weights: dict[str, torch.Tensor], where: Path, *, tied: bool) -> Dispatched:
    held = Held(weights)
    checkpoint = Checkpoint(config, ModelWeights(held, {name: name for name in weights}, held.shapes, tied))
    placement = Placement("auto", {"cpu": 14_000}, where / "offload")
    return dispatch(where, checkpoint, placement, "cpu", torch.float32)


def test_a_head_of_its_own_is_spread_with_its_own_weight(model: Kosmos, tmp_path: Path) -> None:
    weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    head = weights["decoder.head.weight"] = torch.randn(64, 32)
    dispatched = spread_held(model.config, weights, tmp_path, tied=False)
    hidden = torch.randn(3, 32)
    assert torch.allclose(dispatched.model.decoder.logits(hidden), hidden @ head.T, atol=1e-5)
    assert dispatched.parameters == sum(weight.numel() for weight in weights.values())


def test_a_decoder_alone_is_spread_too(model: Kosmos, tmp_path: Path) -> None:
    config = KosmosConfig(None, None, model.config.decoder)
    weights = {name: weight.detach() for name, weight in model.state_dict().items() if name.startswith("decoder.")}
    dispatched = spread_held(config, weights, tmp_path, tied=True)
    assert dispatched.modules["disk"] > 1
    tokens = torch.arange(5, 12)[None]
    positions = torch.arange(7)[None]
    near = dispatched.model.decoder(dispatched.model.embed(tokens), positions)
    assert torch.allclose(near, model.decoder(model.embed(tokens), positions), atol=1e-5)
