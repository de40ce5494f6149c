"""`gradus compare` and `gradus report`: what a sweep says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradus.cli.exit_codes import DONE

if TYPE_CHECKING:
    from gradus.runs.curve import Against
    from gradus.sweep.sweep import Sweep

COMPARE_EXAMPLES = """\b
Examples:
  gradus compare digits-sgd-1
  gradus compare digits-sgd-1 --by lr --facet momentum
  gradus compare sweeps/lecture --measure test-accuracy
"""


AGAINST = click.option(
    "--against",
    type=click.Choice(["samples", "work", "seconds"]),
    default="samples",
    help="what loss curves are drawn against  [samples]",
)


@click.command(epilog=COMPARE_EXAMPLES, short_help="Rank the runs of a sweep, and draw them.")
@click.argument("name")
@click.option("--by", metavar="OPTION", help="tells curves apart  [default: lr, if it varies]")
@click.option("--facet", metavar="OPTION", help="tells panes apart  [default: method]")
@click.option("--measure", metavar="MEASURE", help="what is compared  [default: the sweep's]")
@AGAINST
@click.option("--out", type=click.Path(path_type=Path), help="folder of the pictures: NAME/figures")
@click.option("--top", type=click.IntRange(min=1), default=20, help="configurations shown  [20]")
def compare(
    name: str,
    by: str | None,
    facet: str | None,
    measure: str | None,
    against: Against,
    out: Path | None,
    top: int,
) -> int:
    """Rank the configurations of a sweep, say which option mattered, and draw pictures of both.

    NAME is that of a sweep in ./sweeps, or its folder. It may still be running.
    """
    from gradus.cli import compare_report
    from gradus.figures import style
    from gradus.figures.sweep_figures import pictures
    from gradus.runs.files import own_folder
    from gradus.sweep.measures import measure_of

    sweep = _opened(name)
    compared = _measure(measure) or measure_of(sweep.runs)
    chosen = pictures(sweep, _option(by), _option(facet), compared, against)
    compare_report.show(sweep, compared, top)
    if out is None:
        folder = own_folder(sweep.folder / "figures")
    else:
        folder = out
        folder.mkdir(parents=True, exist_ok=True)
    for picture in chosen:
        figure = picture.draw()
        for kind in ("png", "svg"):
            path = style.save(figure, folder / f"{picture.name}.{kind}")
        click.echo(f"{picture.title:30} {path.with_suffix('.png')}")
    return DONE


@click.command(short_help="Write a sweep as one page that opens anywhere.")
@click.argument("name")
@click.option("--by", metavar="OPTION", help="as in gradus compare")
@click.option("--facet", metavar="OPTION", help="as in gradus compare")
@click.option("--measure", metavar="MEASURE", help="what is compared  [default: the sweep's]")
@AGAINST
@click.option("--out", type=click.Path(path_type=Path), help="the file: NAME/report.html")
def report(
    name: str,
    by: str | None,
    facet: str | None,
    measure: str | None,
    against: Against,
    out: Path | None,
) -> int:
    """Write the ranking, the pictures and all runs of a sweep into one HTML file.

    It needs no network and no other file. NAME is that of a sweep in ./sweeps, or its folder.
    """
    from gradus.figures.page import page
    from gradus.runs.files import write_whole

    sweep = _opened(name)
    options = {"by": _option(by), "facet": _option(facet)}
    content = page(sweep, **options, measure=_measure(measure), against=against).encode()
    path = sweep.folder / "report.html" if out is None else out
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    click.echo(f"{path}  {len(content) / 1e6:.1f} MB")
    return DONE


def _opened(name: str) -> Sweep:
    """The sweep of this name, which has to have runs."""
    from gradus.errors import InputError
    from gradus.sweep.sweep import folder_of, open_sweep

    sweep = open_sweep(folder_of(name))
    if sweep.runs.num_rows == 0:
        raise InputError(f"{sweep.folder}: no run has ended yet; train it by gradus sweep")
    return sweep


def _measure(said: str | None) -> str | None:
    """The column of a measure, written as on the command line."""
    from gradus.sweep.measures import named

    return None if said is None else named(said)


def _option(said: str | None) -> str | None:
    """The option that was written as on the command line."""
    return None if said is None else said.replace("-", "_")
