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
include_path = click.option(
    "--include_path", multiple=True, type=click.Path(), metavar="DIR", help="Folder with plugin files."
)
