"""Pictures' vectors, kept from run to run: by the digest of the picture, in a folder of each model's own.

A run writes its new vectors as files of their own, each whole or not at all, and never touches another's; so any
number of runs may read and write at once, on any file system. A file that is broken (zip has checksums) is deleted
with one line on stderr, and its vectors are made again. Everything may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kosmos_eval.errors import DataError
from kosmos_eval.writing import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_DIGEST_BYTES = 32


def cache_folder() -> Path:
    """Return where this user's kosmos-eval keeps what can be made again.

    `KOSMOS_EVAL_CACHE` names it; else it is `kosmos-eval` in `XDG_CACHE_HOME`, which is `~/.cache` unless set.
    """
    if own := os.environ.get("KOSMOS_EVAL_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "kosmos-eval"


def tell(what: str) -> None:
    """Say something on stderr, in one line."""
    sys.stderr.write(f"kosmos-eval: {' '.join(what.split())}\n")
    sys.stderr.flush()


class VectorCache:
    """The vectors of one model, unit vectors of float32, in files of the cache folder.

    Attributes:
        folder: of these files; it need not be there.
    """

    def __init__(self, identity: str) -> None:
        """Know the folder; nothing is read or made yet.

        Args:
            identity: of everything that vectors depend on beside the picture.
        """
        self.folder = cache_folder() / "vectors" / hashlib.sha256(identity.encode()).hexdigest()[:32]
        self._told = False

    def read(self) -> Iterator[tuple[Sequence[str], NDArray[np.float32]]]:
        """Yield digests and their vectors `[N, D]`, file by file."""
        for path in sorted(self.folder.glob("*.npz")):
            try:
                digests, vectors = _read(path)
            except FileNotFoundError:
                continue  # another run found it broken
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
                tell(f"{path} is broken ({str(error) or type(error).__name__}); its vectors are made again")
                path.unlink(missing_ok=True)
                continue
            yield digests, vectors

    def write(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep vectors `[D]` by digest; where nothing can be written, say so once and go on."""
        if not vectors:
            return
        known = np.frombuffer(bytes.fromhex("".join(vectors)), np.uint8).reshape(-1, _DIGEST_BYTES)
        try:
            with whole_file(self.folder / f"{uuid.uuid4().hex}.npz") as draft, draft.open("wb") as file:
                np.savez(file, digests=known, vectors=np.stack(list(vectors.values())))
                file.flush()
                os.fsync(file.fileno())
        except DataError as error:
            if not self._told:
                tell(f"pictures' vectors cannot be kept in {self.folder} ({error})")
            self._told = True


def _read(path: Path) -> tuple[Sequence[str], NDArray[np.float32]]:
    with np.load(path, allow_pickle=False) as held:
        digests: NDArray[Any] = held["digests"]
        vectors: NDArray[Any] = held["vectors"]
    if digests.dtype != np.uint8 or digests.shape != (len(vectors), _DIGEST_BYTES):
        message = f"expected {_DIGEST_BYTES} bytes for each of {len(vectors)} digests"
        raise ValueError(message)
    if vectors.dtype != np.float32 or vectors.ndim != 2 or not np.isfinite(vectors).all():  # noqa: PLR2004  a matrix
        message = "expected a matrix of finite numbers in float32"
        raise ValueError(message)
    whole = digests.tobytes().hex()
    width = 2 * _DIGEST_BYTES
    return [whole[place : place + width] for place in range(0, len(whole), width)], vectors
