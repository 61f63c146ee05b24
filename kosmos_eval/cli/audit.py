"""`kosmos-eval audit`: ask the same questions in every way that a model computes, and compare the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kosmos_eval import model_options as options
from kosmos_eval import task_options as asked
from kosmos_eval.errors import KosmosEvalError

_NOT_CONFIG = {"n", "tolerance", "json_path"}


@click.command(short_help="Compare a model's batched answers with those one at a time.")
@asked.tasks
@click.option(
    "-n",
    "--n",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="K",
    help="Samples of each task, drawn as --limit of run draws them.",
)
@asked.shots
@options.model
@options.model_args
@asked.data
@asked.exemplars
@asked.seed
@asked.settings
@options.device
@options.dtype
@options.batch_size
@options.include_path
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="NATS",
    help="Largest difference that is no defect.  [default: 0.001; bfloat16 0.1, float16 0.01]",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write what was found as JSON, too."
)
def audit(**flags: Any) -> None:
    """Ask the same samples in every way that the model computes, and compare with one at a time.

    Batching, padding, shared prefixes and packing may move log-probabilities by float rounding, and answers only at
    near ties. Where they do more, the command ends with code 70 and says which sample it was.
    """
    from kosmos_eval.audit import audit as audit_model
    from kosmos_eval.audit import audit_table
    from kosmos_eval.config import parse_config
    from kosmos_eval.plan import make_plan
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.preflight import check_contents
    from kosmos_eval.processes.worker import model_options, prepare_process
    from kosmos_eval.rices import rank_exemplars
    from kosmos_eval.writing import write_json

    if flags["tasks"] is None:
        raise asked.tasks_missing()
    values = {name: value for name, value in flags.items() if name not in _NOT_CONFIG and value is not None}
    config = parse_config({**values, "limit": flags["n"], "report": ()}, "the command line")
    plan = make_plan(config, Plugins(map(Path, config.include_path)))
    weights = plan.model.fingerprint(model_options(plan.config))
    plan = rank_exemplars(plan, weights)
    check_contents(plan)
    prepare_process(1)
    found = audit_model(plan, plan.model.load(model_options(plan.config)), tolerance=flags["tolerance"])
    click.echo(audit_table(found))
    if flags["json_path"] is not None:
        model = {"name": plan.model.name, "fingerprint": weights, "dtype": plan.config.dtype}
        write_json(flags["json_path"], {"model": model, **found.to_json()})
    if found.defects:
        message = f"the ways of {plan.model.name} disagree: {'; '.join(found.defects)}"
        raise KosmosEvalError(message)
