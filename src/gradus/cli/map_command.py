"""`gradus map`: where runs train and where they are lost, over two of their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradus.cli.exit_codes import DONE, INTERRUPTED, warn
from gradus.cli.options import RunCommand, data_dir_option, workers_option

if TYPE_CHECKING:
    from gradus.trainability.trainability import TrainabilityMap

MAP_EXAMPLES = """\b
Examples:
  gradus map                                     the embedded digits, lr by momentum
  gradus map digits --size 64                    sooner, and coarser; --size 256 then goes on
  gradus map digits --x-range 1:10 --out maps/digits-lr-momentum     closer
  gradus map runs/digits-sgd-1 --y batch-size --y-range 1:256
  gradus map digits --method nesterov --y beta --hidden 64
"""


@click.command(
    "map", cls=RunCommand, epilog=MAP_EXAMPLES, short_help="Show where runs train, and where not."
)
@click.option("--x", metavar="OPTION", default="lr", help="the option along the map  [default: lr]")
@click.option(
    "--y", metavar="OPTION", default="momentum", help="the option up the map  [default: momentum]"
)
@click.option(
    "--x-range",
    metavar="LOW:HIGH",
    help="its values; log:LOW:HIGH by equal factors, lin:LOW:HIGH by equal differences  [default: "
    "of lr, four decades, the last of which holds the limit of theory]",
)
@click.option(
    "--y-range", metavar="LOW:HIGH", help="likewise  [default: of momentum and beta, 0:0.99]"
)
@click.option("--size", type=int, metavar="N", default=256, help="cells a side  [default: 256]")
@click.option(
    "--steps",
    type=int,
    metavar="N",
    default=100,
    help="of each run, to the nearest whole epoch, unless --epochs is given  [default: 100]",
)
@click.option("--full", is_flag=True, help="run every point, not those along the boundary alone")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="folder of the runs, which goes on where it was broken off  [default: maps/DATA-X-Y]",
)
@workers_option
@data_dir_option
@click.option("--quiet", is_flag=True, help="print nothing but the path of the picture")
def trainability(
    data: str | None,
    x: str,
    y: str,
    out: Path | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Map where runs on DATA train, over two of their options.

    DATA is that of `gradus train`, or the folder of a run. All other options are those of `gradus
    train`, and are the same in all runs. They are short; most of them are made along the boundary
    beyond which a run diverges, or ends no better than it began. The limit that theory gives from
    the curvature of the model is drawn into the picture, with how well it tells runs apart.
    """
    from gradus.cli.run_report import Stages
    from gradus.trainability.trainability import trainability_map

    options = {name: value for name, value in given.items() if value is not None}
    name = data or "digits"
    folder = Path("maps") / f"{Path(name).absolute().stem}-{x}-{y}" if out is None else out
    asked: dict[str, Any] = {"x": x, "y": y, "out": folder, **options}
    try:
        if quiet:
            found = trainability_map(name, **asked)
            click.echo(folder / "map.png")
        else:
            with Stages() as stages:
                found = trainability_map(name, tell=stages.tell, **asked)
            _close(found)
    except KeyboardInterrupt:
        warn("interrupted; the same command goes on")
        return INTERRUPTED
    return DONE


def _close(found: TrainabilityMap) -> None:
    """The closing words: what was run, how much of it is lost, and what theory says of it."""
    from rich.console import Console

    from gradus.formatting import duration

    console = Console(highlight=False, markup=False, emoji=False)
    size = found.asked.x.size
    share = found.runs / found.lost.size
    new = "" if found.trained == found.runs else f", {found.trained:,} of them now"
    words = {
        "runs": f"{found.runs:,} of {found.steps:,} steps, {share:.1%} of the {size} × {size} "
        f"grid{new}",
        "lost": f"{found.lost.mean():.1%} of the points",
    }
    if found.limit is not None and found.auc is not None and found.told_right is not None:
        words["theory"] = (
            f"λ_max {found.limit.curvature:.3g} at the initial parameters: AUC {found.auc:.3f}, "
            f"{found.told_right:.1%} of the points on the side it says"
        )
    words["time"] = duration(found.seconds)
    words["record"] = str(found.folder)
    words["picture"] = str(found.folder and found.folder / "map.png")
    for name, said in words.items():
        console.print(f"{name:8} {said}", soft_wrap=True)
