"""How all figures look: legible from the back of a lecture room, and in black and white."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.figures.scores import measure_name
from gradus.runs.files import write_whole
from gradus.sweep.bins import BINS, values_of
from gradus.sweep.groups import shown
from gradus.sweep.measures import FINISHED, STATUSES, in_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE, GRID = "#1b1c1d", "#8a8b8c", "#d8d9da"
ENDED = "#a50f15"

CURVE_GRID = "#ebebeb"
"""Of the loss curve of a run, which is drawn with its record."""

ON_DARK, ON_LIGHT = "#fdfdfd", "#111213"
"""Of what is written on colours, which stay in a dark page what they are."""

CROWDED = 48
"""Characters of tick labels below an axis that do not fit side by side."""


WORDS = {
    "lr": "learning rate (lr)",
    "test_accuracy": "test accuracy",
    "best_test_loss": "best test loss",
    "best_test_accuracy": "best test accuracy",
    "train_loss": "training loss",
    "beta": "momentum factor (beta)",
}


def word(name: str) -> str:
    """What an option or a measure is called on an axis.

    Example:
        >>> word("lr"), word("batch_size"), word("test_loss"), word("validation_f1")
        ('learning rate (lr)', 'batch size', 'test loss', 'validation macro F1')
    """
    return WORDS.get(name) or measure_name(name)


def literal(text: str, most: int = 24) -> str:
    r"""A name that is the user's as it stands in a picture, where $ would begin a formula.

    Names that differ often do so at the end: of long ones both ends stay.

    Example:
        >>> literal("cost in $"), literal("a\nb"), literal("class number 12", 12)
        ('cost in \\$', 'a b', 'class n.. 12')
    """
    plain = " ".join(text.split())
    if len(plain) > most:
        end = (most - 2) // 3
        plain = f"{plain[: most - 2 - end]}..{plain[-end:]}"
    return plain.replace("$", r"\$")


def told(option: str, value: Any) -> str:
    """A value with its option, short: ``lr 0.1``; the name of a method says itself what it is.

    Example:
        >>> told("lr", 0.1), told("batch_size", 16), told("method", "adam"), told("nesterov", True)
        ('lr 0.1', 'batch size 16', 'adam', 'nesterov yes')
    """
    return shown(value) if option == "method" else f"{option.replace('_', ' ')} {shown(value)}"


def titled(row: Mapping[str, Any], options: tuple[str, ...]) -> str:
    """A configuration in words; options that it does not take are left out.

    Example:
        >>> titled({"method": "sgd", "lr": 0.1, "momentum": None}, ("method", "lr", "momentum"))
        'sgd, lr 0.1'
    """
    parts = [told(name, row[name]) for name in options if row[name] is not None]
    return ", ".join(parts) or "the one configuration"


def figure_of(measure: str, value: float | None, half: float | None = None) -> str:
    """A figure with half of its interval, digits according to it; accuracies in percent.

    Example:
        >>> figure_of("test_accuracy", 0.84512, 0.0021), figure_of("test_loss", 0.43789)
        ('84.51 ± 0.21 %', '0.4379')
        >>> figure_of("test_loss", None)
        '–'
    """
    if value is None or not np.isfinite(value):
        return "–"
    sure = "" if half is None or not np.isfinite(half) else " ± {}"
    if in_percent(measure):
        return f"{100 * value:.2f}{sure.format(f'{100 * (half or 0):.2f}')} %"
    small = ".4f" if 1e-2 <= abs(value) < 100 else ".3g"
    return f"{value:{small}}" + sure.format(f"{half or 0:{'.1g' if small == '.3g' else small}}")


def counted(counts: Mapping[str, int]) -> str:
    """Runs by status, in words: ``16 runs: 14 finished, 2 diverged``.

    Example:
        >>> counted({"runs": 16, "finished": 14, "pruned": 0, "diverged": 2})
        '16 runs: 14 finished, 2 diverged'
        >>> counted({"runs": 1, "finished": 1})
        '1 run, finished'
    """
    runs = counts["runs"]
    kinds = {name: n for name, n in counts.items() if name != "runs" and n}
    noun = f"{runs:,} run{'' if runs == 1 else 's'}"
    if len(kinds) == 1:
        return f"{noun}, {'all ' if runs > 1 else ''}{next(iter(kinds))}"
    return f"{noun}: {', '.join(f'{n:,} {name}' for name, n in kinds.items())}" if kinds else noun


def binned(runs: pa.Table, options: Sequence[str]) -> tuple[str, ...]:
    """Which of these options have so many values that those near each other stand together."""
    many = {name: values_of(runs, name) for name in options}
    return tuple(
        f"{count:,} values of {name.replace('_', ' ')} in {BINS} groups"
        for name, count in many.items()
        if count is not None
    )


def named_count(name: str, counts: Mapping[str, int]) -> str:
    """A name and what it holds, unless the name says no more: ``rates: 2 runs, all finished``.

    Example:
        >>> named_count("2 runs", {"runs": 2, "finished": 2})
        '2 runs, all finished'
    """
    said = counted(counts)
    return said if said.startswith(name) else f"{name}: {said}"


def lost(counts: Mapping[str, int]) -> str:
    """The runs that did not finish, in words; nothing where all did.

    Example:
        >>> lost({"runs": 3, "finished": 1, "diverged": 2}), lost({"runs": 1, "finished": 1})
        ('2 of 3 diverged', '')
    """
    kinds = [
        f"{n:,} of {counts['runs']:,} {name}"
        for name, n in counts.items()
        if name not in ("runs", FINISHED) and n
    ]
    return ", ".join(kinds)


def counts_of(row: Mapping[str, Any]) -> dict[str, int]:
    """The counts by status in a row of `ranking` or `cells`."""
    return {name: int(row[name]) for name in ("runs", *STATUSES)}


def noise(p: float | None) -> str:
    """That an option cannot be told from noise, and why.

    Example:
        >>> noise(0.4), noise(None)
        ('not told from noise (p = 0.40)', 'too few configurations to tell')
    """
    if p is None or not np.isfinite(p):
        return "too few configurations to tell"
    return f"not told from noise (p = {p:.2f})"


def ceiling(values: NDArray[np.float64], reference: float) -> float | None:
    """Above which losses are clipped: twice a reference loss, where one is more than that.

    Example:
        >>> import numpy as np
        >>> ceiling(np.array([2.3, 0.4, 1e9]), 2.3), ceiling(np.array([2.3, 0.4]), 2.3)
        (4.6, None)
    """
    limit = 2 * reference
    return limit if np.isfinite(limit) and (values > limit).any() else None


@contextmanager
def lecture() -> Iterator[None]:
    """Settings of matplotlib under which all figures are drawn."""
    from matplotlib import rc_context

    settings: Any = {
        "font.size": 14,
        "axes.titlesize": 15,
        "axes.labelsize": 14,
        "legend.fontsize": 12.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "hatch.linewidth": 1.2,
        "svg.fonttype": "path",
        "svg.hashsalt": "gradus",
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
    with rc_context(settings):
        yield


def canvas(width: float, height: float, *, fixed: bool = False) -> Figure:
    """An empty figure, its size in inches; where it is fixed, nothing is moved to have room."""
    from matplotlib.figure import Figure

    layout: Any = None if fixed else "constrained"
    return Figure(figsize=(width, height), dpi=90 if fixed else 120, layout=layout)


def dress(axes: Axes, *, x: str, y: str, title: str = "") -> None:
    """Labels, title and grid."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=GRID, linewidth=0.8)


def caption(figure: Figure, parts: Sequence[str]) -> None:
    """What is not to be overlooked, below the picture; as many parts a line as have room."""
    room, lines = 10.5 * figure.get_figwidth(), [""]
    for part in parts:
        longer = f"{lines[-1]}     {part}".strip()
        if lines[-1] and len(longer) > room:
            lines.append(part)
        else:
            lines[-1] = longer
    if lines[0]:
        figure.supxlabel("\n".join(lines), fontsize=12.5, color=INK, x=0.01, ha="left")


def save(figure: Figure, path: Path) -> Path:
    """Write a figure whole; the format is that of the path's suffix."""
    sink = io.BytesIO()
    kind = path.suffix.lstrip(".")
    figure.savefig(sink, format=kind, metadata={"Date": None} if kind == "svg" else None)
    write_whole(path, sink.getvalue())
    return path


def quick_png(figure: Figure) -> bytes:
    """A figure as PNG, drawn once: `savefig` draws it twice, and packs it tighter than pays."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    sink = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(sink, pil_kwargs={"compress_level": 1})
    return sink.getvalue()


def in_page(figure: Figure, label: str) -> str:
    """A figure as SVG for a page: its ink, grid and ground follow the page's theme.

    Identifiers are made its own, since all figures of a page share one space of them.
    """
    sink = io.StringIO()
    with lecture():
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    own = re.sub(r"\W+", "-", label)
    text = re.sub(r'\bid="', f'id="{own}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{own}-", text)
    themed = {INK: "ink", PALE: "pale", GRID: "grid", CURVE_GRID: "grid", "#ffffff": "ground"}
    for color, variable in themed.items():
        text = text.replace(color, f"var(--{variable})")
    text = re.sub(r"\n\s*", "\n", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size is not None
    text = re.sub(r'<svg[^>]*?viewBox="[^"]*"[^>]*>', "", text, count=1)
    return (
        f'<svg role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {size[1]} {size[2]}">{text}'
    )
