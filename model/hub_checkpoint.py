"""Checkpoints of the Hugging Face Hub: the files of one, from the local cache or fetched into it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from kosmos_eval.errors import DataError

_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "*.model", "dict.txt", "tokenizer.json")
_PICKLED = ("*.bin", "*.bin.index.json", "*.pt")


def hub_folder(name: str, revision: str | None = None, *, pickles: bool = False) -> Path:
    """Return the folder of the local cache that holds a checkpoint of the Hub; what it lacks is fetched.

    Args:
        name: `owner/name`.
        revision: branch, tag or commit; `None` is the Hub's main branch.
        pickles: whether pickled weights may be fetched, where there are no safetensors.

    Raises:
        DataError: there is no such checkpoint, or it can neither be reached nor is it in the cache.
    """
    at = f"{name}@{revision}" if revision else name
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
        if pickles and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*_FILES, *_PICKLED]))
        return folder  # noqa: TRY300  the snapshot's errors are the same for both
    except GatedRepoError:
        reason = "asks for an access token that this machine does not have; log in with: hf auth login"
    except RevisionNotFoundError:
        reason = "has no such revision"
    except RepositoryNotFoundError:
        reason = "is neither a folder here nor a checkpoint on the Hub"
    except (OSError, RuntimeError, ValueError) as error:
        reason = f"is no folder here, is not in the local cache, and the Hub cannot be reached ({type(error).__name__})"
    message = f"model {at}: {reason}"
    raise DataError(message)
