"""`gradus figures`: every picture of the subject, and those of recorded runs and sweeps."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradus.cli.compare_command import AGAINST
from gradus.cli.exit_codes import DONE
from gradus.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gradus.figures.subject.landscapes import Landscape
    from gradus.runs.curve import Against

FIGURES_EXAMPLES = """\b
Examples:
  gradus figures                                   all of them, into ./figures
  gradus figures momentum newton --format svg
  gradus figures adaptive --landscape rosenbrock
  gradus figures newton --format gif               an animation
  gradus figures paths --function "x**2 + 10*y**2"
  gradus figures paths --function mine:f --box -2,2,-1,3
  gradus figures runs/digits-sgd-1                 the pictures of a run
  gradus figures runs/digits-lbfgs-1 --against work
"""

STILL = ("png", "svg", "pdf")
OWN = "paths"
"""The picture of a function of the user's own."""


@dataclass(frozen=True)
class Drawing:
    """A picture to be drawn.

    Attributes:
        name: of its file.
        draw: gives the still picture.
        draw_until: gives, for a share from 0 to 1, a picture of the animation; None: it does not
            move. Both may take some seconds the first time.
    """

    name: str
    draw: Callable[[], Figure]
    draw_until: Callable[[float], Figure] | None = None


@click.command(epilog=FIGURES_EXAMPLES, short_help="Draw the pictures of the subject.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--out", type=click.Path(path_type=Path), default="figures", help="folder  [figures]")
@click.option("--format", "formats", default="png", help="png, svg, pdf, gif, mp4, or several: A,B")
@AGAINST
@click.option("--landscape", help="of adaptive and paths: ravine, saddle, beale, rosenbrock, ...")
@click.option("--function", help='of paths: "x**2 + 10*y**2" or module:function, of a tensor [2]')
@click.option("--box", metavar="X0,X1,Y0,Y1", help="of paths: what is drawn  [-5,5,-5,5]")
@click.option("--start", metavar="X,Y", help="of adaptive and paths: where methods begin")
@click.option("--lr", type=float, help="of adaptive and paths, for all methods  [each its best]")
def figures(
    names: tuple[str, ...],
    out: Path,
    formats: str,
    against: Against,
    landscape: str | None,
    function: str | None,
    box: str | None,
    start: str | None,
    lr: float | None,
) -> int:
    """Draw pictures of the subject, each from runs of the methods.

    NAME is derivative, descent, variance, momentum, polyak-nesterov, newton, adaptive,
    regularization or losses (default: all of these), paths for a function of your own, or the
    folder of a run or of a sweep, of which all pictures are drawn.
    """
    from gradus.figures import style
    from gradus.figures.subject.animation import MOVING, require
    from gradus.figures.subject.catalogue import CATALOGUE

    kinds = kinds_of(formats, (*STILL, *MOVING))
    for kind in kinds:
        require(kind)
    chosen = names or tuple(CATALOGUE)
    view = _view(chosen, landscape, function, box, start, lr)
    still, moving = [k for k in kinds if k in STILL], [k for k in kinds if k in MOVING]
    drawings = [drawing for name in chosen for drawing in _drawings(name, view, lr, against)]
    if moving and not still:
        drawings = [d for d in drawings if d.draw_until is not None or names]
    if moving and names and (rigid := [d.name for d in drawings if d.draw_until is None]):
        able = ", ".join([*(s.name for s in CATALOGUE.values() if s.moves), OWN])
        raise InputError(f"--format {moving[0]}: {rigid[0]} does not move; these do: {able}")
    for drawing in drawings:
        if still:
            figure = drawing.draw()
            out.mkdir(parents=True, exist_ok=True)
            for kind in still:
                click.echo(style.save(figure, out / f"{drawing.name}.{kind}"))
        if drawing.draw_until is not None and moving:
            for path in _animate(drawing, [out / f"{drawing.name}.{kind}" for kind in moving]):
                click.echo(path)
    return DONE


def _animate(drawing: Drawing, paths: list[Path]) -> Iterator[Path]:
    """An animation in several formats, with a bar while its frames are drawn."""
    from gradus.cli.run_report import Stages
    from gradus.figures.subject.animation import FRAMES, frames, save_moving

    assert drawing.draw_until is not None
    images = []
    with Stages() as stages:
        for image in frames(drawing.draw_until):
            images.append(image)
            stages.tell(drawing.name, len(images), FRAMES)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path in paths:
        yield save_moving(images, path)


def _drawings(
    name: str, view: Landscape | None, lr: float | None, against: Against
) -> Iterator[Drawing]:
    """The pictures of this name."""
    from functools import cache

    from gradus.figures.subject import paths
    from gradus.figures.subject.catalogue import CATALOGUE

    if view is not None and name in (OWN, "adaptive"):
        facts = cache(lambda: paths.facts(view, lr=lr))
        yield Drawing(
            name, lambda: paths.draw(facts()), lambda share: paths.draw(facts().until(share))
        )
    elif name in CATALOGUE:
        subject = CATALOGUE[name]
        found = cache(subject.facts)
        until = (lambda share: subject.draw_until(found())(share)) if subject.moves else None
        yield Drawing(name, lambda: subject.draw(found()), until)
    else:
        yield from _recorded(name, against)


def _recorded(name: str, against: Against) -> Iterator[Drawing]:
    """The pictures of a run, or of a sweep, whose folder this is."""
    from gradus.figures.run.pictures import pictures as of_run
    from gradus.figures.subject.catalogue import CATALOGUE
    from gradus.figures.sweep_figures import pictures
    from gradus.runs.record import open_run
    from gradus.sweep.folder import SPECIFICATION, folder_of
    from gradus.sweep.sweep import open_sweep

    if (Path(name) / "run.json").exists():
        run = open_run(name)
        for picture in of_run(run, against):
            suffix = "" if picture.name == "loss" else f"-{picture.name}"
            yield Drawing(f"{Path(name).resolve().name}{suffix}", picture.draw)
    elif (folder_of(name) / SPECIFICATION).exists():
        sweep = open_sweep(folder_of(name))
        if sweep.runs.num_rows == 0:
            raise InputError(f"{sweep.folder}: no run has ended yet; train it by gradus sweep")
        for picture in pictures(sweep, against=against):
            yield Drawing(f"{sweep.folder.resolve().name}-{picture.name}", picture.draw)
    else:
        near = difflib.get_close_matches(name, [*CATALOGUE, OWN], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            f"{name}: no picture of this name{hint}; choose {', '.join([*CATALOGUE, OWN])}, or "
            "give the folder of a run or of a sweep"
        )


def _view(
    names: tuple[str, ...],
    landscape: str | None,
    function: str | None,
    box: str | None,
    start: str | None,
    lr: float | None,
) -> Landscape | None:
    """What the methods move over, where the options say it; None: each picture's own."""
    from dataclasses import replace

    from gradus.figures.subject.landscapes import LANDSCAPES

    given = {"--landscape": landscape, "--function": function, "--box": box, "--start": start,
             "--lr": lr}  # fmt: skip
    told = [option for option, value in given.items() if value is not None]
    if not {OWN, "adaptive"} & {*names}:
        if told:
            raise InputError(f"{told[0]}: belongs to adaptive and {OWN}; name one of them")
        return None
    if landscape is not None and function is not None:
        raise InputError("--function: stands beside --landscape; give one of them")
    if OWN in names and landscape is None and function is None:
        raise InputError(
            f'{OWN}: needs --function "x**2 + 10*y**2" or --landscape {"|".join(LANDSCAPES)}'
        )
    if lr is not None and not (lr > 0 and math.isfinite(lr)):
        raise InputError(f"--lr {lr:g}: give a number above 0")
    if function is None:
        named = landscape or "ravine"
        if named not in LANDSCAPES:
            near = difflib.get_close_matches(named, LANDSCAPES, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"--landscape {named}: unknown{hint}; choose {' | '.join(LANDSCAPES)}")
        if box is not None:
            raise InputError(f"--box {box}: belongs to --function; a landscape has its own")
        view = LANDSCAPES[named]
        if start is None:
            return view
        return replace(view, start=_within(_numbers("--start", start, 2), view.box, start))
    return _own(function, box, start)


def _own(function: str, box: str | None, start: str | None) -> Landscape:
    """A function of the user's own."""
    import torch
    from torch import Tensor

    from gradus.figures.subject.expression import function_of
    from gradus.figures.subject.paths import own
    from gradus.models.own import from_here, own_function, told

    corners = [-5.0, 5.0, -5.0, 5.0] if box is None else _numbers("--box", box, 4)
    if not (corners[0] < corners[1] and corners[2] < corners[3]):
        raise InputError(f"--box {box}: give X0,X1,Y0,Y1 with X0 < X1 and Y0 < Y1")
    with from_here():
        text = ":" not in function
        f = function_of(function) if text else own_function(function, "--function")
        begin = None
        if start is not None:
            begin = _within(_numbers("--start", start, 2), corners, start)

        def guarded(w: Tensor) -> Tensor:
            """What the user's function raises, wherever it does, is one line."""
            try:
                value = f(w)
            except Exception as error:
                where = ", ".join(f"{v:g}" for v in w.tolist())
                raise InputError(
                    f"--function {function}: failed at {where}: {told(error)}"
                ) from error
            if not isinstance(value, Tensor) or value.dim() != 0:
                shaped = isinstance(value, Tensor)
                kind = f"shape {tuple(value.shape)}" if shaped else type(value).__name__
                raise InputError(
                    f"--function {function}: gives {kind}, but must give a scalar tensor"
                )
            return value

        # A branch that is constant has the gradient 0.
        view = own(lambda w: guarded(w) + 0 * w.sum(), function, corners, begin)
        value = guarded(torch.tensor(view.start, dtype=torch.float64, requires_grad=True))
    if not value.isfinite():
        raise InputError(
            f"--function {function}: is {value.item()} where methods begin, at "
            f"{', '.join(f'{v:g}' for v in view.start)}; give another --start or --box"
        )
    if not value.requires_grad:
        raise InputError(f"--function {function}: cannot be differentiated: it must use torch")
    return view


def _within(start: list[float], box: Sequence[float], said: str) -> tuple[float, float]:
    x0, x1, y0, y1 = box
    if not (x0 <= start[0] <= x1 and y0 <= start[1] <= y1):
        drawn = f"{x0:g}..{x1:g} × {y0:g}..{y1:g}"
        raise InputError(f"--start {said}: lies outside what is drawn, {drawn}")
    return start[0], start[1]


def _numbers(option: str, text: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InputError(f"{option} {text}: give {count} numbers with commas between them")
    return numbers


def kinds_of(text: str, known: tuple[str, ...]) -> list[str]:
    """The formats that ``--format`` lists."""
    kinds = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for kind in kinds:
        if kind not in known:
            raise InputError(f"--format {kind}: unknown; choose {', '.join(known)}")
    if not kinds:
        raise InputError(f"--format: give one of {', '.join(known)}")
    return kinds
