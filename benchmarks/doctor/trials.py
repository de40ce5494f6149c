"""A trial: data, network and options as a user would give them, and how good what it learns is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

import gradus
from benchmarks.doctor.networks import MEANING, Network

Array = NDArray[Any]

SMALLEST = 1e-6
"""A probability below which none counts."""

AT_MOST = 2.0
"""No loss is worse than so many times that of knowing nothing: what diverged is given that."""


OF_ALL: dict[str, Any] = {
    "standardize": False, "standardize_target": False, "models": 1, "keep": "last",
}  # fmt: skip
"""The user prepares the data, trains one net, and keeps what the last step leaves."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What one call of ``gradus.train`` is given.

    Attributes:
        arrays: x and y of the three parts, by the keys of an array file.
        fresh: x and y that nobody has, prepared as the user would prepare them; y is true, and
            numbers are in deviations.
        network: the model.
        options: of the spec, beside data and model.
        unit: mean and deviation of the target in the arrays, where it is a number.
        judged: on the fresh examples; or by how far the figure on the test part is from that, for
            faults that do not spoil the model but what is said of it.
    """

    arrays: dict[str, Array]
    fresh: tuple[Array, Array]
    network: Network
    options: dict[str, Any]
    unit: tuple[float, float] = (0.0, 1.0)
    judged: Literal["model", "report"] = "model"
    classes: int | None = field(default=None)

    def with_(self, **changes: Any) -> Trial:
        """The same with some of its parts replaced; options are added to those there."""
        options = {**self.options, **changes.pop("options", {})}
        return dataclasses.replace(self, **changes, options=options)

    @cached_property
    def file(self) -> Path:
        """Its arrays as a file, named by their content."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name}{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        folder = Path(tempfile.gettempdir()) / "gradus-doctor"
        folder.mkdir(exist_ok=True)
        path = folder / f"{digest.hexdigest()[:16]}.npz"
        if not path.exists():
            beside = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(beside, **self.arrays)  # type: ignore[arg-type]
            beside.replace(path)
        return path

    def spec(self, seed: int, **changes: Any) -> gradus.RunSpec:
        """Its run with a seed."""
        options = {**OF_ALL, **self.options, **self.network.options, **changes}
        return gradus.RunSpec(data=str(self.file), seed=seed, **options)

    @property
    def key(self) -> str:
        """Names what is trained: file, network and options."""
        said = [self.file.name, self.network.name, self.options, self.judged]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def judge(self, run: gradus.Run) -> dict[str, float]:
        """Its figures: log loss and error of classes, or the root of the mean square of numbers.

        That is divided by the deviation of the target, and no worse than the worst.
        """
        found = self._figures(run, *self.fresh, honest=True)
        if self.judged == "model":
            return found
        said = self._figures(run, self.arrays["x_test"], self.arrays["y_test"], honest=False)
        return {name: abs(found[name] - said[name]) for name in found if name in said}

    def _figures(self, run: gradus.Run, x: Array, y: Array, *, honest: bool) -> dict[str, float]:
        worst = {"nrmse": AT_MOST}
        if self.classes is not None:
            worst = {"log loss": AT_MOST * float(np.log(self.classes)), "error": 1.0}
        if run.status == "diverged" and run.summary["kept"] is None:
            return worst
        with torch.no_grad():
            preparation: Any = run.preparation
            outputs = run.model(preparation.inputs(x, run.spec.dtype)).double().numpy()
        if not np.isfinite(outputs).all():
            return worst
        if self.classes is None:
            said = outputs.reshape(len(x))
            goal = run.preparation.goal
            if hasattr(goal, "unscaled"):
                said = goal.unscaled(said[:, None])[:, 0]
            mean, deviation = self.unit
            said = (said - mean) / deviation
            true = y if honest else (y - mean) / deviation
            error = float(np.sqrt(np.square(said - true).mean()))
            return {"nrmse": min(error, AT_MOST)}
        return self._of_classes(run, outputs, y.astype(int))

    def _of_classes(self, run: gradus.Run, outputs: Array, y: Array) -> dict[str, float]:
        if outputs.shape[1] == 1:  # numbers in the place of classes
            said = np.clip(np.round(outputs[:, 0]), 0, (self.classes or 1) - 1)
            return {"error": float((said != y).mean())}
        error = float((outputs.argmax(axis=1) != y).mean())
        meaning = "logits" if self.network.ships else MEANING.get(self.network.end, "logits")
        if run.spec.takes_log_probabilities:
            if not self.network.ships and meaning != "logarithms":
                return {"error": error}
            meaning = "logarithms"
        if meaning == "probabilities":
            shares = outputs / np.maximum(outputs.sum(axis=1, keepdims=True), 1e-12)
        else:
            grown = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            shares = grown / grown.sum(axis=1, keepdims=True)
        likelihood = np.clip(shares[np.arange(len(y)), y], SMALLEST, 1)
        loss = min(float(-np.log(likelihood).mean()), AT_MOST * float(np.log(shares.shape[1])))
        return {"log loss": loss, "error": error}


def train(trial: Trial, seed: int, **changes: Any) -> gradus.Run:
    """The run of a trial, with some options changed."""
    return gradus.train(trial.spec(seed, **changes))
