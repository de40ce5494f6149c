"""`gradus doctor`: why a run diverged, crawled or learned nothing, by experiments."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from gradus.cli.exit_codes import CONFIRMED, DONE
from gradus.cli.options import data_dir_option
from gradus.errors import InputError, quoted

DOCTOR_EXAMPLES = """\b
Examples:
  gradus doctor runs/digits-sgd-1                 what is wrong, and the command that mends it
  gradus doctor runs/digits-sgd-1 --budget 2m     with more time for experiments
  gradus doctor runs/digits-sgd-1 --out why.html  a page with pictures of what was seen
  gradus doctor runs/digits-sgd-1 --json          for programs
  gradus doctor runs/mine-adam-1 --model mynet:make    a run of a model of your own

\b
Exit code 0: nothing was confirmed; 4: something was.
"""

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@click.command(epilog=DOCTOR_EXAMPLES, short_help="Say why a run did not do well.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print the whole diagnosis as JSON")
@click.option(
    "--budget",
    metavar="TIME",
    help="how long it may take, as 30s or 2m  [twice as long as the run took; at least 10 s, "
    "and 30 s where it is lost]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="write a page with pictures too"
)
@data_dir_option
@click.option("--model", metavar="NAME", help="package.module:factory of the run, to import it")
@click.option("--trust", is_flag=True, help="import whatever code the run names")
def doctor(
    run: Path,
    as_json: bool,
    budget: str | None,
    out: Path | None,
    data_dir: Path | None,
    model: str | None,
    trust: bool,
) -> int:
    """Examine RUN, the folder of its record, and say what is wrong with it, if anything.

    The run is repeated and looked at on its way. For each cause that something speaks for, the
    same training is done with one thing changed, beside itself without, from several seeds. A cause
    is confirmed only where undoing it lowers the loss by more than chance does; the others are
    possible, or ruled out.
    """
    seconds = None if budget is None else seconds_of(budget)
    from rich.console import Console

    from gradus.diagnosis.call import diagnose
    from gradus.diagnosis.case import case_of
    from gradus.diagnosis.examination import examine
    from gradus.runs.objects.given import NO_OBJECTS
    from gradus.runs.record import open_run
    from gradus.runs.recorded import is_recorded

    if not (run / "run.json").exists():
        there = "holds no record of a run" if run.is_dir() else "is a file"
        there = there if run.exists() else "is not there"
        raise InputError(f"{run}: {there}; give the folder of a run, as runs/digits-sgd-1")
    with Console(stderr=True).status("repeating the run") as shown:
        if is_recorded(run):
            found = diagnose(run, budget=seconds, tell=shown.update)
        else:
            opened = open_run(run, model=model, trust=trust)
            found = examine(case_of(opened, NO_OBJECTS, data_dir), seconds, shown.update)
    click.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False) if as_json else found)
    if out is not None:
        from gradus.figures.diagnosis.page import page
        from gradus.runs.files import write_whole

        write_whole(out, page(found).encode())
        click.echo(out, err=as_json)
    return CONFIRMED if found.confirmed else DONE


def seconds_of(written: str) -> float:
    """A time in seconds.

    Raises:
        InputError: it is none.

    Example:
        >>> seconds_of("30s"), seconds_of("2m"), seconds_of("45")
        (30.0, 120.0, 45.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", written.strip())
    if found is None or found[2] not in UNITS or float(found[1]) <= 0:
        raise InputError(f"--budget {quoted(written)}: give a time, as 30s, 2m or 1h")
    return float(found[1]) * UNITS[found[2]]
