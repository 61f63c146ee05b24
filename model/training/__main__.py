"""`python -m kosmos_eval.model.training CONFIG.toml [--output DIR] [--resume]`.

On several devices, or several cores, the same under `torchrun --standalone --nproc_per_node N -m`; each process then
draws `[data] pictures` of its own.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from kosmos_eval.errors import KosmosEvalError, RunRefusedError

from .config import read_config


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default=None, help="Folder of the run [runs/NAME].")
@click.option("--resume", is_flag=True, help="Go on from the folder's saved state.")
def main(config: Path, output: Path | None, *, resume: bool) -> None:
    """Train a Kosmos model on microworld pictures, as CONFIG (TOML) says."""
    settings = read_config(config)
    folder = output if output is not None else Path("runs") / config.stem
    from .card import RECIPE, write_card  # noqa: PLC0415  torch takes seconds to import, and --help needs none
    from .loop import Trainer  # noqa: PLC0415  as above
    from .start import MODEL, STATE  # noqa: PLC0415  as above

    if (folder / STATE).exists() and not resume:
        message = f"{folder}: expected a folder without a training state, got one; add --resume, or name another folder"
        raise RunRefusedError(message)
    trainer = Trainer(settings, folder)
    if resume:
        trainer.resume()
    trainer.train()
    if trainer.accelerator.is_main_process:
        shutil.copyfile(config, folder / MODEL / RECIPE)
        processes = trainer.accelerator.num_processes
        launcher = ["python"] if processes == 1 else ["torchrun", "--standalone", "--nproc_per_node", str(processes)]
        command = shlex.join([*launcher, "-m", "kosmos_eval.model.training", *sys.argv[1:]])
        write_card(folder / MODEL, {"command": command, "processes": processes}, settings.run.final_items)


def run() -> int:
    """Run the command and return its exit code; a failure is one line on standard error."""
    try:
        main.main(prog_name="python -m kosmos_eval.model.training", standalone_mode=False)
    except KosmosEvalError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 64
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; go on with --resume", err=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run())
