"""Who is asked beside the doctor: one who always says the same, and rules on the curves alone."""

from __future__ import annotations

import numpy as np

import gradus

PUBLISHED = (
    ("DeepLocalize (Wardat et al., ICSE 2021)", "21 of 40 real programs"),
    ("DeepFD (Cao et al., ICSE 2022)", "52 % of 52 real programs"),
    ("DEFault (Jahan et al., 2025)", "63 % of 52 real programs, a fault noticed in 94 %"),
)
"""What is published of tools that name a cause, on other programs."""

ALWAYS = ("learning rate too high", "learning rate too low")
"""What is said of every run that is not known to be well."""


def by_curves(run: gradus.Run) -> list[str]:
    """What the usual rules say of the curves of a run, the first first; nothing where none fires.

    Loss that is no number, does not fall, goes up and down or stays high; validation that rises
    while training falls: the symptoms of AutoTrainer and DeepDiagnosis, with the cause that each is
    first told to stem from.
    """
    said = []
    losses = np.array([loss for loss in run.history["loss"].to_pylist() if loss is not None])
    finite = losses[np.isfinite(losses)]
    if run.status == "diverged" or len(finite) < len(losses):
        return ["learning rate too high", "bad initial parameters"]
    width = max(1, len(finite) // 20)
    smooth = np.convolve(finite, np.ones(width) / width, mode="valid")
    fall = 1 - smooth[-1] / max(smooth[0], 1e-12)
    rows = run.evaluation.to_pylist()
    validation = [row["validation_loss"] for row in rows if row["validation_loss"] is not None]
    accuracy = rows[-1]["validation_accuracy"] if rows else None
    ups = float((np.diff(smooth) > 0).mean()) if len(smooth) > 2 else 0.0
    if smooth[-1] > 1.2 * smooth.min() + 1e-3:
        said.append("learning rate too high")
    if fall < 0.03:
        said.append("vanishing gradients" if run.spec.model != "linear" else ALWAYS[1])
        said.append("learning rate too low")
    if len(validation) > 3 and validation[-1] > 1.05 * min(validation):
        said.append("overfitting")
    if accuracy is not None and accuracy < 0.6:
        said.append("learning rate too low" if ups < 0.4 else "learning rate too high")
    elif ups > 0.55:
        said.append("learning rate too high")
    return list(dict.fromkeys(said))
