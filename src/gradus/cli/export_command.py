"""`gradus export`: a run for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from gradus.cli.exit_codes import DONE, warn

TRACKERS = {
    "tensorboard": ("{name}-tensorboard", "tensorboard --logdir {out}"),
    "mlflow": ("mlflow.db", "mlflow ui --backend-store-uri sqlite:///{out}"),
    "wandb": (".", "wandb sync {out}/wandb/offline-run-*"),
}
"""What takes a sweep too: where it is written where that is not said, and how it is seen."""

KINDS = ("csv", "json", "onnx", "torch-export", *TRACKERS)

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
def export(run: Path, to: str, out: Path | None, model: str | None, trust: bool) -> int:
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
    if to in TRACKERS:
        return _track(run, to, out)
    from gradus.runs.export import SUFFIXES
    from gradus.runs.export import export as export_run
    from gradus.runs.record import open_run

    opened = open_run(run, model=model, trust=trust)
    written = export_run(opened, to, out or Path(run.resolve().name + SUFFIXES[to]))
    for note in written.notes:
        warn(note)
    for path in written.paths:
        click.echo(path)
    return DONE


def _track(name: Path, to: str, out: Path | None) -> int:
    """A run or a sweep for a tracker of experiments."""
    from importlib import import_module

    from gradus.exchange.tracked import tracked, tracked_sweep
    from gradus.runs.record import open_run
    from gradus.sweep.sweep import SPECIFICATION, folder_of, open_sweep

    tracker, folder = import_module(f"gradus.exchange.{to}"), folder_of(name)
    usual, seen = TRACKERS[to]
    target = out or Path(usual.format(name=folder.resolve().name))
    if (folder / SPECIFICATION).exists():
        sweep = open_sweep(folder)
        count = tracker.write_sweep(sweep.name, tracked_sweep(sweep), target)
        click.echo(f"{target}  {count:,} runs; {seen.format(out=target)}")
    else:
        tracker.write_run(tracked(open_run(name)), target)
        click.echo(f"{target}  {seen.format(out=target)}")
    return DONE
