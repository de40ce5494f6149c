"""`gradus compare` and `gradus report`: what a sweep says, or a run."""

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
  gradus compare runs/mine runs/digits-adam-1 --out pictures
"""


AGAINST = click.option(
    "--against",
    type=click.Choice(["samples", "work", "seconds"]),
    default="samples",
    help="what loss curves are drawn against  [samples]",
)


@click.command(epilog=COMPARE_EXAMPLES, short_help="Rank the runs of a sweep, and draw them.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--by", metavar="OPTION", help="tells curves apart  [default: lr, if it varies]")
@click.option("--facet", metavar="OPTION", help="tells panes apart  [default: method]")
@click.option("--measure", metavar="MEASURE", help="what is compared  [default: the sweep's]")
@AGAINST
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="folder of the pictures: NAME/figures, or ./comparison",
)
@click.option("--top", type=click.IntRange(min=1), default=20, help="configurations shown  [20]")
def compare(
    names: tuple[str, ...],
    by: str | None,
    facet: str | None,
    measure: str | None,
    against: Against,
    out: Path | None,
    top: int,
) -> int:
    """Rank the configurations of a sweep, say which option mattered, and draw pictures of both.

    NAME is that of a sweep in ./sweeps, or its folder. It may still be running. Several are the
    folders of runs, of Gradus or of loops of one's own, which are put side by side.
    """
    from gradus.cli import compare_report
    from gradus.figures import style
    from gradus.figures.sweep_figures import pictures
    from gradus.runs.files import own_folder
    from gradus.sweep.comparison import compare as compare_runs
    from gradus.sweep.measures import measure_of

    one = _opened(*names) if len(names) == 1 else None
    sweep = one or compare_runs(*names)
    compared = _measure(measure) or measure_of(sweep.runs)
    chosen = pictures(sweep, _option(by), _option(facet), compared, against)
    compare_report.show(sweep, compared, top)
    if out is None and one is not None:
        folder = own_folder(one.folder / "figures")
    else:
        folder = out or Path("comparison")
        folder.mkdir(parents=True, exist_ok=True)
    for picture in chosen:
        figure = picture.draw()
        for kind in ("png", "svg"):
            path = style.save(figure, folder / f"{picture.name}.{kind}")
        click.echo(f"{picture.title:30} {path.with_suffix('.png')}")
    return DONE


REPORT_EXAMPLES = """\b
Examples:
  gradus report runs/houses-adamw-1
  gradus report digits-sgd-1 --facet momentum
"""


@click.command(
    epilog=REPORT_EXAMPLES, short_help="Write a run or a sweep as one page that opens anywhere."
)
@click.argument("name")
@click.option("--by", metavar="OPTION", help="as in gradus compare")
@click.option("--facet", metavar="OPTION", help="as in gradus compare")
@click.option("--measure", metavar="MEASURE", help="of a sweep: what is compared")
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
    """Write what there is to say of a run or of a sweep into one HTML file.

    Of a run its figures on the test part, its pictures, its table and its specification; of a sweep
    the ranking, the pictures and all runs. It needs no network and no other file. NAME is the
    folder of a run, or the name of a sweep in ./sweeps, or its folder.
    """
    from gradus.errors import InputError
    from gradus.runs.files import write_whole
    from gradus.runs.record_files import REPORT
    from gradus.runs.recorded import is_recorded

    if (Path(name) / "run.json").exists() or is_recorded(Path(name)):
        from gradus.figures.run.page import page as page_of_run
        from gradus.runs.record import open_run

        given = {"--by": by, "--facet": facet, "--measure": measure}
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option} {value}: is for a sweep, and {name} is a run")
        folder, content = Path(name), page_of_run(open_run(name), against=against)
    else:
        from gradus.figures.page import page

        _check_there(name)
        sweep = _opened(name)
        options = {"by": _option(by), "facet": _option(facet)}
        content = page(sweep, **options, measure=_measure(measure), against=against)
        folder = sweep.folder
    path = folder / REPORT if out is None else out
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.encode())
    click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return DONE


def _check_there(name: str) -> None:
    """Refuse a name under which there is neither a run nor a sweep."""
    from gradus.errors import InputError
    from gradus.sweep.folder import SPECIFICATION, folder_of, others

    folder = folder_of(name)
    if not (folder / SPECIFICATION).exists() and not (folder / "run.json").exists():
        lacks = "holds no run and no sweep" if folder.is_dir() else "there is no run or sweep here"
        raise InputError(f"{folder}: {lacks}: give the folder of one{others(folder)}")


def _opened(name: str) -> Sweep:
    """The sweep of this name, which has to have runs."""
    from gradus.errors import InputError
    from gradus.runs.recorded import is_recorded
    from gradus.sweep.folder import SPECIFICATION, folder_of
    from gradus.sweep.sweep import open_sweep

    folder = folder_of(name)
    if is_recorded(folder) or (
        (folder / "run.json").exists() and not (folder / SPECIFICATION).exists()
    ):
        raise InputError(f"{folder}: is one run; give several to compare, or a sweep")
    sweep = open_sweep(folder)
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
