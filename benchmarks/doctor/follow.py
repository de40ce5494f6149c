"""What becomes of a trial whose owner does what the doctor says."""

from __future__ import annotations

import ast
from typing import Any

from benchmarks.doctor.networks import Network
from benchmarks.doctor.trials import Trial

HANDS: dict[str, dict[str, Any]] = {
    "not finite": {"end": "logsoftmax"},
    "missing non-linearity": {"activation": "relu"},
    "vanishing gradients": {"activation": "relu", "begin": "usual"},
    "bad initial parameters": {"begin": "usual"},
    "silent units": {"begin": "usual"},
    "parameters frozen": {"frozen": "none"},
    "dropout too strong": {"dropout": 0.1},
    "dropout in evaluation": {"dropping": "training"},
}
"""What a person changes in the network who is told so, where options of the run do not say it."""


def _wider(network: Network) -> Network:
    """More units, as one told of underfitting gives it."""
    widths = tuple(max(32, width) for width in network.widths) or (32,)
    return network.with_(widths=widths, bottleneck=0)


def options_of(call: str) -> dict[str, Any]:
    """The options that a call gives, as ``run.train(lr=0.1)`` does; none where it is in words.

    Example:
        >>> options_of("run.train(lr=0.1, standardize=True)")
        {'lr': 0.1, 'standardize': True}
        >>> options_of("give the method another learning rate")
        {}
    """
    try:
        parsed = ast.parse(call.strip(), mode="eval").body
    except SyntaxError:
        return {}
    if not isinstance(parsed, ast.Call):
        return {}
    found = {}
    for keyword in parsed.keywords:
        try:
            found[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            return {}
    return found


def followed(trial: Trial, cause: str, call: str) -> Trial | None:
    """The trial with the remedy of a cause; None where no change of a run is one.

    Labels that are wrong, a column that tells the target or rows that stand twice are mended by
    finding out about the data, which nobody can do here.
    """
    options = options_of(call)
    if options:
        known = {"model", "hidden"} & options.keys()
        if known:
            hidden = options.pop("hidden", trial.network.widths)
            network = trial.network.with_(widths=tuple(hidden), bottleneck=0)
            return trial.with_(network=network, options=options)
        return trial.with_(options=options)
    if cause == "output and loss do not fit":
        end = "logsoftmax" if "LogSoftmax" in call else "logits"
        return trial.with_(network=trial.network.with_(end=end))
    if cause == "underfitting":
        return trial.with_(network=_wider(trial.network))
    if cause in HANDS:
        return trial.with_(network=trial.network.with_(**HANDS[cause]))
    return None
