from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.engine.memory import Memory, OutOfMemoryError, free_bytes, is_out_of_memory
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Generated, Score

if TYPE_CHECKING:
    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Request

CPU = torch.device("cpu")


def test_what_a_place_takes_is_at_least_its_keys_and_values(model: Kosmos) -> None:
    config = model.config.decoder
    least = 2 * config.layers * config.width * 4
    assert least < Memory(model, CPU).bytes_a_place < 20 * least
    assert Memory(model.to(torch.bfloat16), CPU).bytes_a_place < 20 * least / 2


def test_the_budget_is_a_power_of_two_that_halves_with_what_is_free(
    model: Kosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(model, CPU)
    found = []
    for free in (1 << 50, 3000, 1500, 700, 0):
        monkeypatch.setattr(
            "kosmos_eval.model.engine.memory.free_bytes", lambda _, free=free: 2 * free * memory.bytes_a_place
        )
        found.append(memory.budget())
    assert found == [8192, 2048, 1024, 512, 256]
    monkeypatch.setattr("kosmos_eval.model.engine.memory.free_bytes", lambda _: 2 * 3000 * memory.bytes_a_place)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert memory.budget() == 1024


def test_errors_that_say_that_memory_ran_out_are_known() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OutOfMemoryError("x"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 62, dtype=torch.int8)
    assert is_out_of_memory(caught.value)


def test_free_memory_is_what_the_machine_has_at_most() -> None:
    assert 0 < free_bytes(CPU) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Scarce:
    """Lets a decoder run out of memory beyond a number of places."""

    def __init__(self, model: Kosmos, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 1 << 30
        self.refused = 0
        original = model.decoder.forward

        def forward(embeddings: torch.Tensor, *others: Any) -> torch.Tensor:  # noqa: ANN401  as they came
            if embeddings.shape[0] * embeddings.shape[1] > self.most:
                self.refused += 1
                message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."
                raise RuntimeError(message)
            return original(embeddings, *others)

        monkeypatch.setattr(model.decoder, "forward", forward)


def requests_of(count: int) -> list[tuple[int, Request]]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    mixed: list[Request] = []
    for number in range(count):
        text = letters[number:] + letters[:number]
        mixed += [
            Generate(Prompt.of(text), 4),
            Generate(Prompt.of(text[::-1]), 3, num_beams=3),
            Score(Prompt.of(text[:9]), (Continuation("cat"), Continuation("dog"))),
        ]
    return list(enumerate(mixed))


def texts(answers: dict[int, Any]) -> dict[int, object]:
    return {
        number: answer.tokens
        if isinstance(answer, Generated)
        else [pytest.approx(each.total, abs=1e-4) for each in answer.continuations]
        for number, answer in answers.items()
    }


def test_when_memory_runs_out_passes_shrink_and_stay_small(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = requests_of(9)
    plenty = dict(KosmosModel(model, tokenizer).answer(requests))
    scarce = Scarce(model, monkeypatch)
    engine = KosmosModel(model, tokenizer)
    scarce.most = 100
    found = dict(engine.answer(requests))
    assert sorted(found) == sorted(plenty)
    assert texts(plenty) == texts(found)
    assert scarce.refused > 0
    assert engine.facts["tokens_a_pass"] < 8192
    scarce.refused = 0
    assert texts(dict(engine.answer(requests))) == texts(plenty)
    assert scarce.refused == 0


def test_a_request_too_big_for_the_machine_fails_alone(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = requests_of(5)
    plenty = dict(KosmosModel(model, tokenizer).answer(requests))
    scarce = Scarce(model, monkeypatch)
    engine = KosmosModel(model, tokenizer)
    before = engine.facts["tokens_a_pass"]
    scarce.most = 200
    long, longer = Prompt.of("abcdefgh" * 26), Prompt.of("x" * 210)
    big: list[tuple[int, Request]] = [(90, Generate(long, 2)), (91, Score(longer, (Continuation("y"),)))]
    found = dict(engine.answer([*requests[:7], *big, *requests[7:]]))
    for number in (90, 91):
        failed = found.pop(number)
        assert isinstance(failed, Failed)
        assert failed.excess is None
        assert "memory of cpu" in failed.reason
    assert texts(found) == texts(plenty)
    assert engine.facts["tokens_a_pass"] == before


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = KosmosModel(model, tokenizer)

    def broken(*_: object) -> torch.Tensor:
        message = "a defect"
        raise RuntimeError(message)

    monkeypatch.setattr(model.decoder, "forward", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        list(engine.answer(requests_of(1)))


def test_a_pass_that_main_memory_cannot_hold_is_not_tried(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = KosmosModel(model, tokenizer)
    room = 60 * engine._memory.bytes_a_place
    monkeypatch.setattr("kosmos_eval.model.engine.memory.free_bytes", lambda _: room)
    monkeypatch.setattr(engine._memory, "_harmless", 0)
    requests: list[tuple[int, Request]] = [(0, Generate(Prompt.of("a" * 50), 1)), (1, Generate(Prompt.of("b" * 80), 1))]
    found = dict(engine.answer(requests))
    assert isinstance(found[0], Generated)
    assert isinstance(found[1], Failed)


_UNDER_A_LIMIT = """
import json, resource, sys
import torch
torch.set_num_threads(1)
from kosmos_eval.model.config import DecoderConfig, KosmosConfig
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Failed, Score

class Letters:
    bos, pad, eos, unk, image_begin, image_end = range(6)
    vocabulary_size = 64
    def encode(self, text): return [6 + ord(letter) % 50 for letter in text]
    def decode(self, ids): return " ".join(map(str, ids))

decoder = DecoderConfig(64, 128, 2, 2, 512, "xpos", max_positions=2048)
engine = KosmosModel(Kosmos.initialised(KosmosConfig(None, None, decoder), 0), Letters())
engine._memory._harmless = 1 << 60  # let the allocator itself say no
requests = [(n, Score(Prompt.of("abcdefghij"[n:] * 40), (Continuation("x"), Continuation("y")))) for n in range(9)]
requests.append((9, Score(Prompt.of("ab" * 4_000), (Continuation("x"),))))
list(engine.answer(requests[:1]))
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
answers = dict(engine.answer(requests))
print(json.dumps([engine.facts["tokens_a_pass"], {
    n: a.reason if isinstance(a, Failed) else [each.total for each in a.continuations] for n, a in answers.items()}]))
"""


def _under_a_limit(megabytes: int) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-c", _UNDER_A_LIMIT, str(megabytes << 20)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    budget, answers = json.loads(done.stdout)
    return budget, answers


def test_a_real_lack_of_memory_changes_no_answer_and_fails_the_one_request_that_is_too_big() -> None:
    _, plenty = _under_a_limit(8192)
    budget, found = _under_a_limit(60)
    assert "memory of cpu" in found.pop("9")
    del plenty["9"]
    assert found.keys() == plenty.keys()
    for number, totals in plenty.items():
        assert found[number] == pytest.approx(totals, abs=1e-3)
    assert budget >= 256
