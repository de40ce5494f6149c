"""`gradus predict`: what a trained model says of new rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradus.cli.exit_codes import DONE, warn
from gradus.errors import InputError
from gradus.formatting import number

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 10
"""Rows that are shown where no file is given for all."""

PREDICT_EXAMPLES = """\b
Examples:
  gradus predict runs/houses-adamw-1 new.csv                    the first rows, to look at
  gradus predict runs/houses-adamw-1 new.csv --out prices.csv   all of them
"""


@click.command(epilog=PREDICT_EXAMPLES, short_help="Predict new rows by a trained model.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="file of the predictions: .csv or .parquet"
)
@click.option("--overwrite", is_flag=True, help="replace the file that --out names")
@click.option(
    "--threshold",
    metavar="P",
    help="of two classes, the probability from which on the rarer is predicted, or of one, yes=0.3",
)
@click.option("--model", metavar="NAME", help="package.module:factory of the run, to import it")
@click.option("--trust", is_flag=True, help="import whatever model the run names")
def predict(
    run: Path,
    file: Path,
    out: Path | None,
    overwrite: bool,
    threshold: str | None,
    model: str | None,
    trust: bool,
) -> int:
    """Predict the target for the rows of FILE by the model of RUN, the folder of its record.

    FILE is a table, or a folder of files that are one; for a run on arrays a .npz file with x in
    it, or a .npy file; for one on sparse rows a file of svmlight, or a matrix of SciPy in .npz; for
    one on images an image, or a folder of them, whose names stand beside what is predicted.

    Columns are found by their names, in any order; others are not looked at. Rows are prepared as
    those that trained were. Of classes the likeliest is given and, as p(class), the probability of
    each; numbers are in the unit of the target.
    """
    from gradus.cli.run_report import Stages
    from gradus.runs.prediction import first_predictions, predict_file
    from gradus.runs.record import open_run

    opened = open_run(run, model=model, trust=trust)
    if out is None:
        found, more, told = first_predictions(opened, file, SHOWN, threshold)
        click.echo(shown(found))
        for line in told:
            warn(line)
        if more:
            warn(f"these are the first {SHOWN} rows; --out FILE writes all of them")
        return DONE
    if out.exists() and (not overwrite or out.samefile(file)):
        instead = "" if file.exists() and out.samefile(file) else ", or add --overwrite"
        raise InputError(f"--out {out}: is there already; give another name{instead}")
    with Stages() as stages:
        rows, told = predict_file(
            *(opened, file, out), lambda done: stages.tell("rows", done, 0), threshold
        )
    click.echo(f"{out}  {rows:,} rows")
    for line in told:
        warn(line)
    return DONE


def shown(table: pa.Table) -> str:
    """A small table as text, its columns aligned."""

    def cell(value: Any) -> str:
        return number(value) if isinstance(value, float) else str(value)

    columns = [[name, *map(cell, table[name].to_pylist())] for name in table.column_names]
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(value.rjust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    )
