"""Faults of the network: its end, its beginning, what does not learn, how wide it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.doctor.faults import Fault, Plant, between, both, classifies, is_hidden
from benchmarks.doctor.tasks import Task
from benchmarks.doctor.trials import Trial

Random = np.random.Generator


def _network(**changes: Any) -> Plant:
    return lambda trial, severity, random: trial.with_(network=trial.network.with_(**changes))


def _ends(end: str, **options: Any) -> Plant:
    def plant(trial: Trial, severity: float, random: Random) -> Trial:
        return trial.with_(network=trial.network.with_(end=end), options=options)

    return plant


def _number_of_class(trial: Trial, severity: float, random: Random) -> Trial:
    """Classes as numbers 0, 1, 2, .. and the mean square error."""
    arrays = {
        name: array.astype(np.float32) if name.startswith("y") else array
        for name, array in trial.arrays.items()
    }
    return trial.with_(arrays=arrays, options={"loss": "mse"})


def _times(mild: float, fatal: float) -> Plant:
    def plant(trial: Trial, severity: float, random: Random) -> Trial:
        factor = f"{between(severity, mild, fatal):.3g}".replace(".", "p")
        return trial.with_(network=trial.network.with_(begin=f"times{factor}"))

    return plant


def _begins_with_one(trial: Trial, severity: float, random: Random) -> Trial:
    begin = "zero" if severity > 0.5 else "symmetric"
    return trial.with_(network=trial.network.with_(begin=begin))


def _silent(trial: Trial, severity: float, random: Random) -> Trial:
    below = f"{between(severity, 0.7, 6):.2g}".replace(".", "p")
    return trial.with_(network=trial.network.with_(begin=f"silent{below}", activation="relu"))


def _saturated(trial: Trial, severity: float, random: Random) -> Trial:
    factor = f"{between(severity, 5, 100):.3g}".replace(".", "p")
    kind = str(random.choice(["tanh", "sigmoid"]))
    return trial.with_(network=trial.network.with_(activation=kind, begin=f"times{factor}"))


def _deep_and_sigmoid(trial: Trial, severity: float, random: Random) -> Trial:
    depth = 3 + round(5 * severity)
    width = trial.network.widths[0]
    return trial.with_(network=trial.network.with_(widths=(width,) * depth, activation="sigmoid"))


def _too_few_units(trial: Trial, severity: float, random: Random) -> Trial:
    """A bottleneck of a few units, or such layers where all are dense."""
    units = 1 if severity > 0.5 else 2
    if trial.network.kind == "dense":
        return trial.with_(network=trial.network.with_(widths=(units,) * len(trial.network.widths)))
    return trial.with_(network=trial.network.with_(bottleneck=units))


def _dropout(dropping: str) -> Plant:
    def plant(trial: Trial, severity: float, random: Random) -> Trial:
        share = round(0.5 + 0.48 * severity, 2) if dropping == "training" else round(
            0.3 + 0.6 * severity, 2)  # fmt: skip
        return trial.with_(network=trial.network.with_(dropout=share, dropping=dropping))

    return plant


def _lagging(trial: Trial, severity: float, random: Random) -> Trial:
    """Batch norms whose running figures follow so slowly that the run ends before they arrive."""
    follows = f"{between(severity, 0.003, 1e-5):.6f}".replace(".", "p")
    return trial.with_(network=trial.network.with_(norm=follows))


def _is_dense(task: Task) -> bool:
    return task.kind == "dense"


def _is_hidden_relu(task: Task) -> bool:
    return task.kind in ("dense", "conv") and task.trial.network.activation == "relu"


def _curved(task: Task) -> bool:
    """Whether a linear model falls short of it."""
    return task.source in (
        *("spirals", "moons", "hills", "waves", "friedman"),
        *("rings", "hastie", "roll", "friedman 2", "friedman 3"),
        *("corners", "arm"),
    )


FAULTS = (
    Fault("softmax before cross-entropy", "output", ("output and loss do not fit",),
          _ends("softmax"), classifies),
    Fault("probabilities into NLL", "output", ("output and loss do not fit",),
          _ends("softmax", loss="nll"), classifies),
    Fault("logits into NLL", "output", ("output and loss do not fit",),
          lambda trial, severity, random: trial.with_(
              network=trial.network.with_(dropout=1e-3), options={"loss": "nll"}), classifies),
    Fault("mean square of class numbers", "output",
          ("classes taken for numbers", "output and loss do not fit"),
          _number_of_class, both(classifies, is_hidden)),
    Fault("ReLU at the end", "output", ("output and loss do not fit",), _ends("relu")),
    Fault("sigmoid at the end", "output", ("output and loss do not fit",), _ends("sigmoid")),
    Fault("no activation between", "output", ("missing non-linearity", "underfitting"),
          _network(activation="identity"), both(_is_dense, _curved)),
    Fault("naive logarithm", "nan", ("not finite", "bad initial parameters"),
          lambda trial, severity, random: trial.with_(
              network=trial.network.with_(
                  end="naivelog", begin=f"times{round(between(severity, 30, 300))}"),
              options={"loss": "nll"}), classifies),
    Fault("parameters begin too large", "start", ("bad initial parameters",),
          _times(4, 60), is_hidden),
    Fault("parameters begin too small", "start",
          ("bad initial parameters", "vanishing gradients"), _times(0.2, 0.001), is_hidden),
    Fault("parameters begin the same", "start",
          ("bad initial parameters", "vanishing gradients"), _begins_with_one, is_hidden),
    Fault("silent units", "units", ("silent units", "bad initial parameters"),
          _silent, _is_hidden_relu),
    Fault("saturated units", "units", ("silent units", "bad initial parameters"),
          _saturated, lambda task: task.kind in ("dense", "conv")),
    Fault("deep and sigmoid", "start", ("vanishing gradients", "silent units"),
          _deep_and_sigmoid, _is_dense),
    Fault("frozen body", "frozen", ("parameters frozen",), _network(frozen="body"), is_hidden),
    Fault("too few units", "fit", ("underfitting",), _too_few_units, is_hidden),
    Fault("dropout too strong", "mode", ("dropout too strong", "underfitting"),
          _dropout("training"), is_hidden),
    Fault("dropout in evaluation", "mode", ("dropout in evaluation",),
          _dropout("always"), is_hidden),
    Fault("batch norm that does not follow", "mode", ("batch norm out of step",),
          _lagging, lambda task: task.kind in ("dense", "conv"), later=True),
)  # fmt: skip
