"""`gradus export`: a run for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from gradus.cli.exit_codes import DONE, warn

KINDS = ("csv", "json", "onnx", "torch-export")

EXPORT_EXAMPLES = """\b
Examples:
  gradus export runs/houses-adamw-1 --to onnx          houses-adamw-1.onnx, here
  gradus export runs/houses-adamw-1 --to csv --out a.csv    a-history.csv, a-evaluation.csv
"""


@click.command(epilog=EXPORT_EXAMPLES, short_help="Write a run for other programs.")
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
    torch-export  the model alone as an ExportedProgram (torch.export.load): it takes what is
                  prepared; the file holds a graph and tensors, and no pickle
    """  # noqa: D301
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
