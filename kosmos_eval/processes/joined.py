"""The processes that torchrun or `accelerate launch` started: who they are, and how the first calls the others.

The first plans the run, then tells the others its folder, through the key-value store that every launcher of torch
keeps. Nobody waits in a collective operation, here or later, so nobody can hang in one: who waits for the news looks
whether the first process still lives.
"""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.processes.heartbeat import ARRIVAL_SECONDS, BEAT_SECONDS, patience

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]  # torch exports it and does not say so

_POLL_SECONDS = 0.2
_FAREWELL_SECONDS = 5.0


def joined_size() -> int:
    """Return how many processes a launcher such as torchrun started, this one included; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def joined_rank() -> int:
    """Return this process's number among them."""
    return int(os.environ.get("RANK", "0"))


def neighbours() -> range:
    """Return the numbers of those that run on this machine, which share its cores; this process's is one of them."""
    first = joined_rank() - int(os.environ.get("LOCAL_RANK", "0"))
    return range(first, first + int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def gather() -> None:
    """Be the first process, and show the others that it lives for as long as it does; before anything takes time."""
    store = _store()

    def beat() -> None:
        count = 0
        while True:
            count += 1
            try:
                store.set("beat", str(count))
            except RuntimeError:  # the launcher has ended; it takes its processes along
                return
            time.sleep(BEAT_SECONDS)

    threading.Thread(target=beat, name="gather", daemon=True).start()


def tell_others(news: dict[str, object]) -> None:
    """Send the first process's news to the others."""
    _store().set("news", json.dumps(news))


def dismiss(exit_code: int) -> None:
    """Tell the others that there will be no run, and give them a moment to hear it."""
    tell_others({"exit_code": exit_code})
    deadline = time.monotonic() + _FAREWELL_SECONDS
    while _store().add("heard", 0) < joined_size() - 1 and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def hear_first() -> dict[str, object]:
    """Return the first process's news; waits for them while it lives.

    Raises:
        KosmosEvalError: it is gone, or never came.
    """
    try:
        store = _store()
        _await_news(store)
        news: dict[str, object] = json.loads(store.get("news"))
        store.add("heard", 1)
    except RuntimeError as error:
        gone = "it is gone"
        raise _no_first(gone) from error
    return news


def _await_news(store: Store) -> None:
    last, since = b"", time.monotonic()
    while not store.check(["news"]):
        beat = store.get("beat") if store.check(["beat"]) else b""
        if beat != last:
            last, since = beat, time.monotonic()
        if time.monotonic() - since > (limit := patience() if last else ARRIVAL_SECONDS):
            silent = f"it has given no sign of life for {limit:.0f} s"
            raise _no_first(silent)
        time.sleep(_POLL_SECONDS)


def _no_first(reason: str) -> KosmosEvalError:
    place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    message = f"rank {joined_rank()}: expected news of the run from rank 0 through the launcher's store at {place}"
    return KosmosEvalError(
        f"{message}, but {reason}; see what the launcher of rank 0 says, then start the command again"
    )


@cache
def _store() -> Store:
    """Return the launcher's store; it is the launcher's own, or else the first process's."""
    from torch import distributed  # noqa: PLC0415  only joined processes need it

    own = joined_rank() == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = distributed.TCPStore(  # type: ignore[attr-defined]  # as above
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=own,
        wait_for_workers=False,
        timeout=timedelta(seconds=ARRIVAL_SECONDS),
    )
    prefixed: Store = distributed.PrefixStore("kosmos-eval", store)  # type: ignore[attr-defined]  # likewise
    return prefixed
