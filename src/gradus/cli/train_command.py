"""`gradus train`: one run, from its options to its record."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradus.cli.exit_codes import EXIT_CODES, warn
from gradus.cli.options import RunCommand
from gradus.errors import InputError
from gradus.importing import without_collection

if TYPE_CHECKING:
    from gradus.runs.spec import RunSpec

TRAIN_EXAMPLES = """\b
Examples:
  gradus train                                   the embedded digits
  gradus train --lr 0.1 --momentum 0.9 --epochs 5
  gradus train fashion-mnist --method adam --batch-size 64
  gradus train houses.csv --target price --standardize --lr 0.01
  gradus train digits --model mynet:make         the function make in mynet.py
  gradus train --spec run.toml --seed 1          a file, with changes
  gradus train --resume runs/digits-sgd-1        a run that was broken off
"""


@click.command(cls=RunCommand, epilog=TRAIN_EXAMPLES, short_help="Fit a model to data.")
@click.option(
    "--spec", type=click.Path(path_type=Path), help="read options from a TOML file or a run.json"
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="where data sets lie that are not embedded; then $GRADUS_DATA, then the user's cache",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="folder of the record: runs/DATA-METHOD-N"
)
@click.option("--overwrite", is_flag=True, help="replace the record that --out holds")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="go on with the run of this folder, which was broken off",
)
@click.option(
    "--trust", is_flag=True, help="import the model that --spec or --resume names, whatever it is"
)
@click.option("--quiet", is_flag=True, help="print nothing but the path of the record")
def train(
    spec: Path | None,
    data_dir: Path | None,
    out: Path | None,
    overwrite: bool,
    resume: Path | None,
    trust: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Fit a model to DATA, record what happens, and draw the loss curve.

    DATA is digits (embedded, the default), fashion-mnist, mnist, or a file or folder of your own:
    a table (with --target) as CSV, Parquet, Arrow, JSON lines or Excel, .npz, or the four IDX files
    of an image set.
    """
    with without_collection():
        from gradus.cli import run_report as report
        from gradus.runs.spec import RunSpec
        from gradus.runs.train import train as train_run

    options = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        model = options.pop("model", None)
        others = {"spec": spec, "out": out, "overwrite": overwrite or None, **options}
        return _resume(resume, others, data_dir, quiet, model=model, trust=trust)
    run_spec = RunSpec.read_file(spec, options, trust=trust) if spec else RunSpec.read(options)

    with _fresh_folder(run_spec) if out is None else nullcontext(out) as folder:
        if quiet:
            run = train_run(run_spec, out=folder, overwrite=overwrite, data_dir=data_dir)
            click.echo(folder)
            report.ending(run)
        else:
            with report.Live() as live:
                run = train_run(
                    run_spec,
                    out=folder,
                    overwrite=overwrite,
                    data_dir=data_dir,
                    progress=live.progress,
                )
            report.close(run)
    return EXIT_CODES[run.status]


def _resume(
    folder: Path,
    others: Mapping[str, object],
    data_dir: Path | None,
    quiet: bool,
    *,
    model: str | None,
    trust: bool,
) -> int:
    """Go on with the run of a folder."""
    from gradus.cli import run_report as report
    from gradus.runs.choices import flag
    from gradus.runs.train import resume

    for name, value in others.items():
        if value is not None:
            option = str(value) if name == "data" else flag(name)
            raise InputError(
                f"--resume {folder}: goes on with the run as it was specified; leave out {option}"
            )

    started = time.time()
    with nullcontext() if quiet else report.Live() as live:
        progress = None if live is None else live.progress
        run = resume(
            folder, model=model, trust=trust, data_dir=data_dir, progress=progress, tell=warn
        )
    if (folder / "run.json").stat().st_mtime < started:
        warn(f"{folder}: this run has ended already, as {run.status}")
    elif quiet:
        click.echo(folder)
        report.ending(run)
    else:
        report.close(run)
    return EXIT_CODES[run.status]


@contextmanager
def _fresh_folder(spec: RunSpec) -> Iterator[Path]:
    """The first of runs/DATA-METHOD-1, -2, .. that nobody has, taken at once.

    It is given back where no run comes to stand in it.
    """
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    for n in count(1):
        folder = runs / f"{Path(spec.data).stem}-{spec.method}-{n}"
        try:
            folder.mkdir()
            break
        except FileExistsError:
            continue
    try:
        yield folder
    except BaseException:
        for empty in (folder, runs):
            with suppress(OSError):
                empty.rmdir()
        raise
