"""Vectors are kept whole, for one model each, beside what other runs keep; what is broken is thrown away and said."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from kosmos_eval.vector_cache import VectorCache, cache_folder

A, B, C = (digit * 64 for digit in "abc")
ONE, TWO = np.array([1, 0, 0], np.float32), np.array([0, 0.6, 0.8], np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOSMOS_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def content(cache: VectorCache) -> dict[str, list[float]]:
    pairs = ((digest, row) for digests, rows in cache.read() for digest, row in zip(digests, rows, strict=True))
    return {digest: row.tolist() for digest, row in pairs}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_is_read_again_by_the_same_model_alone(folder: Path) -> None:
    VectorCache("model").write({A: ONE, B: TWO})
    VectorCache("model").write({C: ONE})
    VectorCache("other").write({A: TWO})
    assert content(VectorCache("model")) == {A: ONE.tolist(), B: TWO.tolist(), C: ONE.tolist()}
    assert content(VectorCache("other")) == {A: TWO.tolist()}
    assert len(files(folder)) == 3
    assert content(VectorCache("third")) == {}


def test_nothing_new_writes_nothing(folder: Path) -> None:
    VectorCache("model").write({})
    assert not folder.exists()


def test_two_runs_at_once_keep_both(folder: Path) -> None:
    start = Barrier(4)

    def keep(number: int) -> None:
        cache = VectorCache("model")
        start.wait()
        for turn in range(10):
            cache.write({f"{number:032x}{turn:032x}": ONE, A: TWO})
            assert content(cache)[A] == TWO.tolist()

    threads = [Thread(target=keep, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(content(VectorCache("model"))) == 41
    assert len(files(folder)) == 40


def damage_bits(path: Path) -> None:
    held = bytearray(path.read_bytes())
    place = held.index(TWO.tobytes())
    held[place] ^= 1
    path.write_bytes(held)


@pytest.mark.parametrize(
    "damage",
    [
        damage_bits,
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04"),
        lambda path: path.write_text("text"),
        lambda path: np.savez(path, vectors=np.ones((1, 3), np.float32)),
        lambda path: np.savez(path, digests=np.ones((1, 32), np.uint8), vectors=np.ones((2, 3), np.float32)),
        lambda path: np.savez(path, digests=np.ones((1, 32), np.uint8), vectors=np.full((1, 3), np.nan, np.float32)),
        lambda path: np.savez(path, digests=np.ones((1, 32), np.uint8), vectors=np.array([[None]])),
    ],
    ids=["a bit", "cut", "empty", "beginning", "text", "no digests", "too few", "no numbers", "objects"],
)
def test_a_broken_file_is_thrown_away_with_one_line(
    damage: object, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = VectorCache("model")
    cache.write({B: TWO})
    [path] = files(folder)
    assert callable(damage)
    damage(path)
    cache.write({A: ONE})
    assert content(cache) == {A: ONE.tolist()}
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"kosmos-eval: {path} is broken (")
    assert said.endswith("; its vectors are made again")
    assert content(cache) == {A: ONE.tolist()}
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write_text("a file", encoding="utf-8")
    cache = VectorCache("model")
    cache.write({A: ONE})
    cache.write({B: ONE})
    [said] = capsys.readouterr().err.splitlines()
    assert "pictures' vectors cannot be kept in " in said
    assert content(cache) == {}


def test_the_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("KOSMOS_EVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/of/all")
    assert cache_folder() == Path("/of/all/kosmos-eval")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/kosmos-eval")
