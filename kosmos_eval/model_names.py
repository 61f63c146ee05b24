"""Which model a name means: a plugin's, or a checkpoint that lies in a folder or on the Hub."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.language_model import ModelSpec
    from kosmos_eval.plugins import Plugins

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""What may be a checkpoint on the Hub: an owner and a name."""


def find_model(name: str, arguments: Mapping[str, str], plugins: Plugins) -> tuple[ModelSpec, dict[str, str]]:
    """Return the model that `--model` names, and its arguments.

    What is no plugin's name but a folder on disk, or looks like a checkpoint on the Hub (`owner/name`), is read by the
    `kosmos` model: its place joins the arguments.

    Raises:
        UnknownNameError: there is neither a model nor a folder of that name.
    """
    if name not in plugins.names("model"):
        folder = os.path.abspath(os.path.expanduser(name))  # noqa: PTH100, PTH111  Path would swallow a trailing slash
        checkpoint = folder if os.path.isdir(folder) else name if HUB_ID.fullmatch(name) else None  # noqa: PTH112  as above
        if checkpoint:
            return plugins.model("kosmos"), {**arguments, "pretrained": checkpoint}
    return plugins.model(name), dict(arguments)
