"""Ten runs in which one thing is wrong: what the doctor prints of each, and the run that is mended.

``python -m benchmarks.doctor histories`` trains them, asks, does what is said, draws the curves
into ``docs/figures`` and writes all of it at the end of ``docs/why.md``, for ``ruff format``.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gradus
from benchmarks.doctor.follow import options_of
from gradus.cli import main
from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.runs.record import Run

ROOT = Path(__file__).parents[2]
PAGE, FIGURES = ROOT / "docs" / "why.md", ROOT / "docs" / "figures"
HEADING = "## Ten case histories"
WIDTH, BATCHES = 108, 20
ABOUT = (
    "Each is a run in which one thing is wrong, what was printed of it (lines are broken here as a "
    "terminal breaks them), and the same run with what is said done. Thick lines are of examples "
    "that do not train, thin ones of the mini-batches, dotted is the best constant. "
    "`python -m benchmarks.doctor histories` writes them anew; scripts begin with `import "
    "itertools, gradus, sklearn.datasets, torch` and `torch.manual_seed(0)`."
)
COLORS = 96
HIGHEST = 6.0
"""Of the loss of the best constant; what is higher leaves the picture."""


@dataclass(frozen=True)
class History:
    """A case.

    Attributes:
        name: of its figure.
        title: what one sees.
        symptom: the same in a sentence or two.
        code: what makes ``run``; or the command that does.
        mended: the same for ``mended``, where the remedy is said in words.
    """

    name: str
    title: str
    symptom: str
    code: str
    mended: str = ""


HISTORIES = (
    History(
        "rate-high",
        "The loss is not a number",
        "After a few steps the loss is infinite.",
        "gradus train digits --lr 10 --epochs 10",
    ),
    History(
        "rate-low",
        "It learns, and is not worth the wait",
        "The loss falls in every epoch, by so little that nothing will come of it today.",
        "gradus train digits --method adam --lr 2e-6 --epochs 15",
    ),
    History(
        "decay",
        "It stops early, and high",
        "The loss falls a little, and then stays far above what others reach.",
        "gradus train digits --lr 0.1 --weight-decay 0.1 --epochs 20",
    ),
    History(
        "momentum",
        "It falls, and is thrown back",
        "The loss falls for two epochs, leaps, and stays at that of who knows nothing.",
        "gradus train digits --method polyak --lr 0.02 --beta 0.998 --epochs 20",
    ),
    History(
        "target",
        "The predictions are all far too small",
        "A net is to predict a measure of disease between 25 and 346, from ten columns in scale.",
        """\
x, y = sklearn.datasets.load_diabetes(return_X_y=True)
x = 20 * x  # as they come they have a deviation of 0.05
net = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
run = gradus.train((x, y), model=net, method=gradus.methods.Adam(0.01), epochs=40)""",
        """\
mended = gradus.train((x, y), model=net, method=gradus.methods.Adam(0.01), epochs=40,
                      standardize_target=True)""",
    ),
    History(
        "inputs",
        "It always says the same",
        "Wines by their chemistry: one column is near 1,000, the others are near 1 or 10.",
        """\
x, y = sklearn.datasets.load_wine(return_X_y=True)
net = torch.nn.Sequential(torch.nn.Linear(13, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
run = gradus.train((x, y), model=net, method=gradus.methods.SGD(0.02), epochs=60)""",
        """\
mended = gradus.train((x, y), model=net, method=gradus.methods.SGD(0.02), epochs=60,
                      standardize=True)""",
    ),
    History(
        "softmax",
        "Right answers, and a high loss",
        "Most digits are told right, and the loss stays at 70 % of that of who knows nothing.",
        """\
x, y = sklearn.datasets.load_digits(return_X_y=True)
layers = torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
net = torch.nn.Sequential(*layers, torch.nn.Softmax(dim=1))
run = gradus.train((x / 16, y), model=net, loss=torch.nn.CrossEntropyLoss(),
                   method=gradus.methods.SGD(0.1), epochs=30)""",
        """\
net = torch.nn.Sequential(*layers)
mended = gradus.train((x / 16, y), model=net, loss=torch.nn.CrossEntropyLoss(),
                      method=gradus.methods.SGD(0.1), epochs=30)""",
    ),
    History(
        "numbers",
        "It says 5 where it does not know",
        "The digits are learned as the numbers that they are, by their mean square error.",
        """\
x, y = sklearn.datasets.load_digits(return_X_y=True)
net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
run = gradus.train((x / 16, y.astype("float32")), model=net, loss=torch.nn.MSELoss(),
                   method=gradus.methods.Adam(0.003), epochs=30)""",
        """\
net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
mended = gradus.train((x / 16, y), model=net, loss=torch.nn.CrossEntropyLoss(),
                      method=gradus.methods.Adam(0.003), epochs=30)""",
    ),
    History(
        "vanishing",
        "Nothing happens for epochs",
        "Six hidden layers of sigmoids: the loss is that of the class shares, and stays.",
        """\
def net_of(activation):
    widths = 64, 32, 32, 32, 32, 32, 32
    layers = [torch.nn.Linear(*each) for each in itertools.pairwise(widths)]
    hidden = [part for layer in layers for part in (layer, activation())]
    return torch.nn.Sequential(*hidden, torch.nn.Linear(32, 10))

x, y = sklearn.datasets.load_digits(return_X_y=True)
run = gradus.train((x / 16, y), model=net_of(torch.nn.Sigmoid),
                   method=gradus.methods.SGD(0.1), epochs=20)""",
        """\
net = net_of(torch.nn.ReLU)
for layer in net[::2]:
    torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.nn.init.zeros_(layer.bias)
mended = gradus.train((x / 16, y), model=net, method=gradus.methods.SGD(0.1), epochs=20)""",
    ),
    History(
        "by-heart",
        "It gets better, and worse",
        "300 garments of Fashion-MNIST: all of them are known by heart, others less and less well.",
        """\
garments = gradus.data.load("fashion-mnist").train
x, y = garments.x[:800].reshape(800, 784) / 255, garments.y[:800]
net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
run = gradus.train((x[:300], y[:300]), validation=(x[300:], y[300:]), model=net,
                   method=gradus.methods.Adam(0.003), epochs=60, keep="last")""",
        """\
mended = gradus.train((x[:300], y[:300]), validation=(x[300:], y[300:]), model=net,
                      method=gradus.methods.Adam(0.003), epochs={epochs}, keep="last")""",
    ),
)


@dataclass(frozen=True, eq=False)
class Curve:
    """A run as it is drawn, in losses of the best constant prediction.

    Attributes:
        epochs: ``[n]``, at which examples that do not train were tried.
        held: ``[n]``, the loss of those.
        batch_epochs: ``[m]``.
        batches: ``[m]``, the loss of the mini-batches, over so many of them.
    """

    epochs: NDArray[np.float64]
    held: NDArray[np.float64]
    batch_epochs: NDArray[np.float64]
    batches: NDArray[np.float64]


def curve_of(run: Run) -> Curve:
    """What is drawn of a run."""
    curve, constant = run.curve, run.summary["constant"]
    part = "test" if curve.validation_x is None or not len(curve.validation_x) else "validation"
    x, held = getattr(curve, f"{part}_x"), getattr(curve, f"{part}_loss")
    epoch = run.summary["data"]["train"]
    width = max(1, min(BATCHES, len(curve.loss) // 10))
    kernel = np.ones(width) / width
    return Curve(
        np.asarray(x) / epoch,
        np.asarray(held) / constant[f"{part}_loss"],
        np.convolve(curve.x, kernel, mode="valid") / epoch,
        np.convolve(curve.loss, kernel, mode="valid") / constant["train_loss"],
    )


def draw(before: Curve, after: Curve) -> Any:
    """Both, beside what the best constant reaches."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    with style.lecture():
        figure = style.canvas(7.2, 2.9)
        axes = figure.subplots()
        style.dress(axes, x="epoch", y="share of the loss\nof a constant")
        axes.axhline(1, color=style.INK, linewidth=1, linestyle=(0, (1, 2)))
        for label, curve, look in (("before", before, STYLES[1]), ("mended", after, STYLES[0])):
            axes.plot(curve.batch_epochs, curve.batches, color=look.color, linewidth=1, alpha=0.45)
            axes.plot(
                curve.epochs, curve.held, color=look.color, linestyle=look.dashes, linewidth=2.5,
                label=label,
            )  # fmt: skip
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.001), min(high, HIGHEST))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@contextmanager
def _apart() -> Iterator[None]:
    """A folder of which no run is left behind."""
    was = Path.cwd()
    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        try:
            yield
        finally:
            os.chdir(was)


def _command(command: str) -> None:
    told = io.StringIO()
    with suppress(SystemExit), redirect_stdout(told), redirect_stderr(told):
        main([*shlex.split(command)[1:], "--quiet"])


def _scope() -> dict[str, Any]:
    import itertools

    import sklearn.datasets
    import torch

    torch.manual_seed(0)
    return {"gradus": gradus, "torch": torch, "sklearn": sklearn, "itertools": itertools}


@dataclass(frozen=True, eq=False)
class Told:
    """What came of a case: the run, what was said of it, and the run that does so."""

    history: History
    run: Run
    said: str
    mended: Run
    doing: str


def tell(history: History) -> Told:
    """Train, ask, and do what is said."""
    if history.code.startswith("gradus "):
        folder = f"runs/{history.name}"
        _command(f"{history.code} --out {folder}")
        run = gradus.open_run(folder)
        found = gradus.diagnose(folder)
        doing = found.confirmed[0].remedy.command or ""
        _command(f"{doing} --out {folder}-mended")
        return Told(history, run, str(found), gradus.open_run(f"{folder}-mended"), doing)
    scope = _scope()
    exec(history.code, scope)
    found = gradus.diagnose(scope["run"])
    doing = history.mended
    for name, value in options_of(found.confirmed[0].remedy.call).items():
        doing = doing.replace(f"{{{name}}}", repr(value))
    exec(doing, scope)
    return Told(history, scope["run"], str(found), scope["mended"], doing)


def write() -> None:
    """Tell all of them, draw their curves, and write them at the end of the page."""
    lines = [HEADING, "", *textwrap.wrap(ABOUT, 110)]
    with _apart():
        for number, history in enumerate(HISTORIES, 1):
            told = tell(history)
            figure = draw(curve_of(told.run), curve_of(told.mended))
            path = style.save(figure, FIGURES / f"why-{history.name}.png")
            _lighten(path)
            lines += section(number, told, path)
            print(told.said, file=sys.stderr, flush=True)
    before = PAGE.read_text(encoding="utf-8").partition(HEADING)[0]
    PAGE.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")


def _lighten(path: Path) -> None:
    """Few colours are in such a picture."""
    from PIL import Image

    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(COLORS)
    few.save(path, optimize=True)


def section(number: int, told: Told, figure: Path) -> list[str]:
    """Of the page."""
    is_command = told.history.code.startswith("gradus ")
    language, name = ("bash", told.history.name) if is_command else ("python", "")
    asked = [told.history.code, "print(gradus.diagnose(run))"]
    if is_command:
        asked = [f"{told.history.code} --out runs/{name}", f"gradus doctor runs/{name}"]
    return [
        *("", f"### {number}. {told.history.title}", "", told.history.symptom, ""),
        *(f"```{language}", *asked, "```", "", "```text", *_broken(told.said), "```", ""),
        *("Done as it says:", "", f"```{language}", told.doing, "```", ""),
        *(_reached(told.run, told.mended), ""),
        f"![The loss before and after, by epoch](figures/{figure.name})",
    ]


def _broken(said: str) -> Iterator[str]:
    """Lines as a terminal breaks them."""
    for line in said.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            line, WIDTH, subsequent_indent=f"{indent}  ", break_on_hyphens=False
        ) or [""]


def _reached(before: Run, after: Run) -> str:
    """What both reach on the test part."""
    ends = [run.summary["final"] for run in (before, after)]
    constants = [run.summary["constant"]["test_loss"] for run in (before, after)]
    shares = [
        None if end is None else end["test_loss"] / constant
        for end, constant in zip(ends, constants, strict=True)
    ]
    was, now = ("no number" if share is None else f"{100 * share:.3g} %" for share in shares)
    said = f"The test loss is {now} of that of the best constant prediction; before, {was}"
    right = [None if end is None else end["test_accuracy"] for end in ends]
    if right[1] is None:
        return f"{said}."
    was, now = ("" if share is None else f"{100 * share:.3g} %" for share in right)
    return f"{said}. The test accuracy is {now}{was and f', in place of {was}'}."
