"""`gradus tune`: a learning rate for whoever has none in mind, and a trained run with it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradus.cli.exit_codes import EXIT_CODES, INTERRUPTED, warn
from gradus.cli.options import RunCommand, data_dir_option, workers_option

if TYPE_CHECKING:
    from gradus.tuning.tune import Tuning

TUNE_EXAMPLES = """\b
Examples:
  gradus tune                                    the embedded digits, 10 trainings
  gradus tune --method adam --budget 60s
  gradus tune houses.csv --target price --budget 20
  gradus tune --free lr,batch-size,momentum --budget 20
  gradus tune digits --out tunings/digits-1      once more, or what was broken off: goes on there
"""


@click.command(cls=RunCommand, epilog=TUNE_EXAMPLES, short_help="Find the learning rate.")
@click.option(
    "--budget",
    metavar="N|60s",
    default="10",
    help="whole trainings that it may cost, or a time: 60s, 5min, 1h  [default: 10]",
)
@click.option(
    "--free",
    metavar="A,B,..",
    default="lr",
    help="what is found: lr, and beside it batch-size, momentum, weight-decay, hidden  "
    "[default: lr]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="folder of the record, which goes on where it was broken off  "
    "[default: tunings/DATA-METHOD-N]",
)
@workers_option
@data_dir_option
@click.option("--quiet", is_flag=True, help="print nothing but the command that trains the run")
def tune(
    data: str | None,
    budget: str,
    free: str,
    out: Path | None,
    workers: int | None,
    data_dir: Path | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Find the learning rate of a run on DATA, and what else is free, and train it.

    All other options are those of `gradus train`, and stay as they are given. Rates are chosen on
    the validation part. What comes of it: the learning rate, those that cannot be told from it, a
    picture, a trained run, and the command that trains it again.
    """
    from gradus.cli.run_report import Stages
    from gradus.tuning.tune import tune as find

    options = {name: value for name, value in given.items() if value is not None}
    folder = _fresh(data or "digits", options) if out is None else out
    names = [name.strip() for name in free.split(",") if name.strip()]
    asked: dict[str, Any] = {"budget": budget, "free": names, "out": folder, **options}
    try:
        if quiet:
            found = find(data or "digits", workers=workers, data_dir=data_dir, **asked)
            click.echo(found.command)
        else:
            with Stages() as stages:
                found = find(
                    data or "digits", workers=workers, data_dir=data_dir, tell=stages.tell, **asked
                )
            _close(found)
    except KeyboardInterrupt:
        warn(f"interrupted; go on by the same command with --out {folder}")
        return INTERRUPTED
    return EXIT_CODES[found.run.status]


def _fresh(data: str, options: dict[str, Any]) -> Path:
    """The first of tunings/DATA-METHOD-1, -2, .. that is not there."""
    method = options.get("method")
    stem = "-".join(filter(None, (Path(data).absolute().stem, method)))
    return next(
        folder for n in count(1) if not (folder := Path("tunings") / f"{stem}-{n}").exists()
    )


def _close(found: Tuning) -> None:
    """The closing words: what was found, how sure, at what cost, and how to have it again."""
    from rich.console import Console

    from gradus.figures.scores import measure_name
    from gradus.formatting import duration, number
    from gradus.runs.choices import flag

    console = Console(highlight=False, markup=False, emoji=False)
    best, plateau, limit = found.best, found.plateau, found.limit
    others = [f"{flag(name)[2:]} {value}" for name, value in found.found.items() if name != "lr"]
    words = {"learning rate": ", ".join([f"{found.lr:g}", *others])}
    if found.unsearched:
        left = ", ".join(flag(name)[2:] for name in found.unsearched)
        words["not searched"] = f"{left}: the budget did not last; give more"
    words[measure_name(found.measure)] = f"{number(best.value)}"
    if found.note is not None:
        words["note"] = found.note
    if plateau is not None:
        alone = plateau.low == plateau.high
        alike = "no other that was tried" if alone else f"{plateau.low:g} to {plateau.high:g}"
        words["as good"] = f"{alike}, by {plateau.examples:,} validation examples"
    if found.sizes is not None:
        words["fastest batch"] = str(found.sizes)
        if found.sizes.fastest != found.sizes.now:
            begin = found.sizes.options(found.sizes.fastest).items()
            words["begin there"] = " ".join(f"{flag(name)} {value}" for name, value in begin)
    theory = "" if limit is None else f"; theory, {limit.method}: {limit.lr:.2g}"
    words["lost from"] = f"{found.test.edge:.2g} on in the range test{theory}"
    lost = sum(trial.value is None for trial in found.trials)
    words["cost"] = (
        f"{found.spent:.1f} trainings in {duration(found.seconds)}: {len(found.trials)} begun"
        f"{f', {lost} diverged' if lost else ''}"
    )
    words["record"] = str(found.folder)
    words["run"] = str(found.run.folder)
    words["picture"] = str(found.folder and found.folder / "tune.png")
    words["again"] = found.command
    for name, said in words.items():
        console.print(f"{name:15} {said}", soft_wrap=True)
