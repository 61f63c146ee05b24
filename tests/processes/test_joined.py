"""Processes that a launcher started hear of the run from the first, or why there is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # torch exports them silently

from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.processes import heartbeat, joined

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefixStore]:
    """Return a launcher's store, and make this process the second of two."""
    kept = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": kept.port}.items():
        monkeypatch.setenv(name, str(value))
    joined._store.cache_clear()
    yield PrefixStore("kosmos-eval", kept)
    joined._store.cache_clear()


def test_neighbours_are_those_of_the_same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "6", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    assert list(joined.neighbours()) == [4, 5, 6, 7]


def test_the_news_are_heard_and_the_first_knows_it(store: PrefixStore) -> None:
    store.set("news", json.dumps({"folder": "runs/1", "launch": "abc"}))
    assert joined.hear_first() == {"folder": "runs/1", "launch": "abc"}
    assert store.add("heard", 0) == 1


def test_a_first_process_that_never_comes_is_not_awaited_for_ever(
    store: PrefixStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "ARRIVAL_SECONDS", 1.0)
    assert not store.check(["beat"])
    with pytest.raises(KosmosEvalError, match=r"rank 1: expected news .* but it has given no sign of life for 1 s"):
        joined.hear_first()


def test_a_first_process_that_falls_silent_is_not_awaited_for_ever(
    store: PrefixStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    monkeypatch.setenv("KOSMOS_EVAL_PATIENCE", "1")
    store.set("beat", "1")
    with pytest.raises(KosmosEvalError, match=r"it has given no sign of life for 1 s; see what the launcher of rank 0"):
        joined.hear_first()


def test_a_store_that_nobody_keeps_is_named(monkeypatch: pytest.MonkeyPatch, store: PrefixStore) -> None:
    assert store is not None
    monkeypatch.setenv("MASTER_PORT", "9")
    monkeypatch.setattr(joined, "ARRIVAL_SECONDS", 1.0)
    with pytest.raises(KosmosEvalError, match=r"launcher's store at 127.0.0.1:9, but it is gone"):
        joined.hear_first()
