"""A process is known by its signs: how far it is, how it ended, and that it is gone when there are none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import DataError, RunRefusedError, UsageError
from kosmos_eval.processes import heartbeat
from kosmos_eval.processes.heartbeat import Heart, Sign, Watch, at_work_elsewhere, call_roll, died, read_sign
from kosmos_eval.processes.lock import RunLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEFT_BEHIND = '{"rank": 1, "host": "afar", "pid": 123, "beat": 7, "state": "working", "unit": "t|0/00001"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    claims = tmp_path / "run" / "claims" / "launch"
    call_roll(claims, 3)
    return claims


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "_LOOK_SECONDS", 0.05)
    monkeypatch.setenv("KOSMOS_EVAL_PATIENCE", "1")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_sign_says_how_far_a_process_is(folder: Path) -> None:
    assert read_sign(folder, 2) == Sign(2)
    with Heart(folder, 2) as heart:
        heart.say(unit="t|0/00000")
        heart.say(done=5)
        heart.say(unit="t|0/00001")
        sign = read_sign(folder, 2)
        assert sign is not None
        assert (sign.state, sign.unit, sign.units, sign.samples) == ("working", "t|0/00001", 1, 5)


@pytest.mark.parametrize(
    ("error", "state", "message", "code"),
    [
        (None, "done", "", 0),
        (DataError("no such image"), "failed", "no such image", 65),
        (RuntimeError("out of memory"), "failed", "RuntimeError: out of memory", 70),
        (KeyboardInterrupt(), "stopped", "", 0),
    ],
)
def test_the_last_sign_says_how_a_process_ended(
    folder: Path, error: BaseException | None, state: str, message: str, code: int
) -> None:
    def live() -> None:
        with Heart(folder, 0):
            if error is not None:
                raise error

    if error is None:
        live()
    else:
        with pytest.raises(type(error)):
            live()
    sign = read_sign(folder, 0)
    assert sign is not None
    assert (sign.state, sign.message, sign.exit_code) == (state, message, code)


def test_a_failure_is_the_launch_s_own_and_comes_before_a_stop(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Heart(folder, 0):
        raise KeyboardInterrupt
    error = DataError("no such image")
    with pytest.raises(DataError), Heart(folder, 2):
        raise error
    watch = Watch(folder, [0, 2], [0, 2])
    watch.look()
    fault = watch.fault()
    assert fault is not None
    assert (str(fault), fault.exit_code) == ("no such image", 65)


def test_a_process_of_this_machine_that_is_gone_is_dead_at_once(folder: Path) -> None:
    (folder / "rank-0001").write_text(LEFT_BEHIND, encoding="utf-8")
    watch = Watch(folder, range(3), range(3))
    with Heart(folder, 0):
        watch.look()
        assert died(folder, 0) is None
    fault = watch.fault()
    assert str(fault) == str(died(folder, 1))
    assert str(fault).startswith("rank 1 (afar, process 123) died; finish the run with: kosmos-eval run --resume")
    assert str(fault).endswith(str(folder.parent.parent))


@pytest.mark.usefixtures("_hasty")
def test_a_process_of_another_machine_is_lost_when_it_falls_silent_and_not_while_it_beats(folder: Path) -> None:
    (folder / "rank-0001").write_text(LEFT_BEHIND, encoding="utf-8")
    watch = Watch(folder, [0, 1], [])
    with Heart(folder, 0):
        watch.begin()
        wait_until(lambda: bool(watch.silent(0.3)))
        assert [sign.rank for sign, _ in watch.silent(0.3)] == [1]
        assert watch.fault() is None
        wait_until(lambda: watch.fault() is not None)
        assert str(watch.fault()).startswith("rank 1 (afar, process 123) has given no sign of life for 1 s")
    watch.end()


@pytest.mark.usefixtures("_hasty")
def test_a_process_that_never_comes_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "ARRIVAL_SECONDS", 0.2)
    watch = Watch(folder, [2], [2])
    watch.begin()
    wait_until(lambda: watch.fault() is not None)
    watch.end()
    assert "rank 2 has not begun within" in str(watch.fault())


def test_a_sign_that_is_being_written_changes_nothing(folder: Path) -> None:
    (folder / "rank-0001").write_text(LEFT_BEHIND, encoding="utf-8")
    watch = Watch(folder, [1], [])
    watch.look()
    (folder / "rank-0001").write_text(LEFT_BEHIND[:40], encoding="utf-8")
    assert read_sign(folder, 1) is None
    watch.look()
    assert [sign.beat for sign in watch.signs] == [7]


@pytest.mark.usefixtures("_hasty")
def test_a_run_on_which_another_machine_works_is_refused(folder: Path) -> None:
    with Heart(folder, 1):
        wait_until(lambda: "working" in (folder / "rank-0001").read_text(encoding="utf-8"))
        assert at_work_elsewhere(folder.parent.parent) is None, "this machine's own go by their locks"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("platform.node", lambda: "elsewhere")
            with pytest.raises(RunRefusedError, match=r"rank 1 \(.*\) is working on this run"):
                RunLock(folder.parent.parent, "another")
    (folder / "rank-0001").write_text(LEFT_BEHIND, encoding="utf-8")
    assert at_work_elsewhere(folder.parent.parent) is None, "it works no more"


@pytest.mark.parametrize("text", ["soon", "0", "4"])
def test_a_patience_of_less_than_two_beats_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOSMOS_EVAL_PATIENCE", text)
    with pytest.raises(UsageError, match="KOSMOS_EVAL_PATIENCE: expected seconds above 4"):
        heartbeat.patience()
