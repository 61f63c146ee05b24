"""Command-line options that several sub-commands share: which model, and how it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kosmos_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def _pairs(_context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, str] | None:
    pairs: dict[str, str] = {}
    for part in ",".join(texts).split(",") if texts else ():
        key, equals, value = part.partition("=")
        if not (key and equals):
            message = f"{parameter.opts[0]}: expected key=value pairs, got {part!r}"
            raise UsageError(message)
        pairs[key.strip()] = value.strip()
    return pairs or None


def _batch_size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    if text is None or text == "auto":
        return None
    if not (text.isdigit() and int(text) > 0):
        message = f"--batch_size: expected auto or a whole number from 1, got {text!r}"
        raise UsageError(message)
    return int(text)


model = click.option(
    "-m",
    "--model",
    default="kosmos-tiny",
    show_default=True,
    metavar="NAME|DIR",
    help="A model (see: ls models), a folder with one, or OWNER/NAME on the Hub.",
)
model_args = click.option(
    "-a",
    "--model_args",
    multiple=True,
    callback=_pairs,
    metavar="K=V,...",
    help="Arguments of the model's own, such as device_map=auto; an unknown one is an error.",
)
device = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda, cuda:1, ..."
)
dtype = click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Of weights and activations.",
)
batch_size = click.option(
    "-b", "--batch_size", callback=_batch_size, metavar="auto|N", help="Sequences in one forward pass.  [default: auto]"
)
processes = click.option(
    "-j", "--processes", type=click.IntRange(min=1), default=1, help="Processes that ask at once.  [default: 1]"
)
include_path = click.option(
    "--include_path",
    multiple=True,
    type=click.Path(),
    metavar="DIR",
    help="Folder with plugin files, or YAML files of lm-eval.",
)
