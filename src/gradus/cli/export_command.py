"""`gradus export`: a run for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from gradus.cli.exit_codes import DONE, warn

TRACKERS = ("tensorboard",)
"""What takes a sweep too."""

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
    torch-export  the model alone as an ExportedProgram (torch.export.load): it takes what is
                  prepared; the file holds a graph and tensors, and no pickle
    """  # noqa: D301
    if to in TRACKERS:
        return _track(run, out)
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


def _track(name: Path, out: Path | None) -> int:
    """A run or a sweep for TensorBoard."""
    from gradus.exchange import tensorboard
    from gradus.exchange.tracked import tracked, tracked_sweep
    from gradus.runs.record import open_run
    from gradus.sweep.sweep import SPECIFICATION, folder_of, open_sweep

    folder = folder_of(name)
    target = out or Path(f"{folder.resolve().name}-tensorboard")
    if (folder / SPECIFICATION).exists():
        count = tensorboard.write_sweep(tracked_sweep(open_sweep(folder)), target)
        click.echo(f"{target}  {count:,} runs; tensorboard --logdir {target}")
    else:
        tensorboard.write_run(tracked(open_run(name)), target)
        click.echo(f"{target}  tensorboard --logdir {target}")
    return DONE
