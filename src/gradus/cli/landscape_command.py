"""`gradus landscape`: the path of a run over the true risk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from gradus.cli.exit_codes import DONE
from gradus.cli.options import data_dir_option
from gradus.errors import InputError

if TYPE_CHECKING:
    from gradus.figures.landscape.landscape import Directions

LANDSCAPE_EXAMPLES = """\b
Examples:
  gradus landscape runs/digits-sgd-1
  gradus landscape runs/digits-sgd-1 runs/digits-adam-1      both on one plane
  gradus landscape runs/digits-sgd-1 --directions hessian
  gradus landscape runs/digits-sgd-1 --directions random     two, filter-normalised
"""


@click.command(epilog=LANDSCAPE_EXAMPLES, short_help="Draw the path of a run over the true risk.")
@click.argument("folders", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--directions",
    type=click.Choice(["principal", "hessian", "random"]),
    default="principal",
    help="along which the path varies most, the risk bends most, or at random  [principal]",
)
@click.option("--grid", type=click.IntRange(2, 501), default=25, help="values a direction  [25]")
@click.option("--examples", type=click.IntRange(min=1), default=10_000, help="[10000]")
@data_dir_option
@click.option("--model", metavar="NAME", help="package.module:factory of the runs, to import it")
@click.option("--trust", is_flag=True, help="import whatever model the runs name")
@click.option("--format", "formats", default="png", help="png, svg, pdf, or several: A,B  [png]")
@click.option("--out", type=click.Path(path_type=Path), help="folder of the picture: RUN")
def landscape(
    folders: tuple[str, ...],
    directions: str,
    grid: int,
    examples: int,
    data_dir: Path | None,
    model: str | None,
    trust: bool,
    formats: str,
    out: Path | None,
) -> int:
    """Draw where runs went: their paths, and the contours of the true risk around them.

    The paths are projected onto a plane, and how far they are off it is said. For its path a run
    is trained again, which takes as long as it took.
    """
    from gradus.cli.figures_command import STILL, kinds_of
    from gradus.cli.run_report import Stages
    from gradus.figures import style
    from gradus.figures.landscape.landscape import caption, draw, facts
    from gradus.runs.record import open_run

    kinds = kinds_of(formats, STILL)
    for name in folders:
        if not (Path(name) / "run.json").exists():
            path = Path(name)
            there = "holds no record of a run" if path.is_dir() else "is a file"
            there = there if path.exists() else "is not there"
            raise InputError(f"{name}: {there}; give the folder of a run, as runs/digits-sgd-1")
    runs = [open_run(name, model=model, trust=trust) for name in folders]
    if out is None:
        out = Path(folders[0]) if len(runs) == 1 else Path("figures")
    with Stages() as stages:
        found = facts(
            runs,
            directions=cast("Directions", directions),
            grid=grid,
            examples=examples,
            data_dir=data_dir,
            progress=stages.tell,
        )
    for line in caption(found):
        click.echo(line)
    figure = draw(found)
    out.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        click.echo(style.save(figure, out / f"landscape.{kind}"))
    return DONE
