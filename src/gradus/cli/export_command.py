"""`gradus export`: a run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradus.cli.exit_codes import DONE, warn

if TYPE_CHECKING:
    from gradus.exchange.export import Kind

KINDS = ("csv", "json", "onnx", "torch-export", "tensorboard", "mlflow", "wandb")

EXPORT_EXAMPLES = """\b
Examples:
  gradus export runs/houses-adamw-1 --to onnx          houses-adamw-1.onnx, here
  gradus export runs/houses-adamw-1 --to csv --out a.csv    a-history.csv, a-evaluation.csv
  gradus export rates --to tensorboard --out logs/rates     a sweep: tensorboard --logdir logs
"""


@click.command(epilog=EXPORT_EXAMPLES, short_help="Write a run, or a sweep, for others.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(KINDS), help="what is written")
@click.option(
    "--out", type=click.Path(path_type=Path), help="the file; here, with the name of the run"
)
@click.option("--model", metavar="NAME", help="package.module:factory of the run, to import it")
@click.option("--trust", is_flag=True, help="import whatever model the run names")
def export(run: Path, to: Kind, out: Path | None, model: str | None, trust: bool) -> int:
    """Write RUN, the folder of its record, in a form that other programs read.

    \b
    csv           the history and the evaluation, a file each
    json          the spec, the summary, the history and the evaluation in one file
    onnx          the model, with the preparation of numbers, yes or no, and names inside: it takes
                  rows as they stand in the table, and gives the prediction
    tensorboard   a folder of event files: scalars against the step, options and final figures in
                  HParams; of a sweep, which is given by its name or folder, a folder a run in it
    mlflow        the same in a store of MLflow, the file mlflow.db, to which every export adds;
                  of a sweep a run with a child a run
    wandb         the same as offline runs of Weights & Biases, of a sweep in a group: nothing is
                  sent before wandb sync
    torch-export  the model alone as an ExportedProgram (torch.export.load): it takes what is
                  prepared; the file holds a graph and tensors, and no pickle
    """  # noqa: D301
    from gradus.exchange.export import TRACKERS
    from gradus.exchange.export import export as export_result
    from gradus.runs.record import open_run
    from gradus.sweep.folder import SPECIFICATION, folder_of
    from gradus.sweep.sweep import open_sweep

    folder = folder_of(run)
    if (folder / SPECIFICATION).exists():
        written = export_result(open_sweep(folder), to, out)
    else:
        written = export_result(open_run(run, model=model, trust=trust), to, out)
    for path in written.paths:
        click.echo(path)
    for note in written.notes:
        if to in TRACKERS:
            click.echo(note)  # how it is seen
        else:
            warn(note)
    return DONE
