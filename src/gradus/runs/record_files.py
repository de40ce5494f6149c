"""Which files the folder of a record holds."""

from __future__ import annotations

from pathlib import Path

PREDICTIONS = "test.parquet"
"""What the model says of the test part: ``target``, ``prediction``, of classes ``p(class)``."""

OVERVIEW, REPORT = "test.png", "report.html"
"""What may be drawn of a run once it has ended."""

PREPARATION = "preparation.json"
"""What was fitted to the training examples."""

FILES = (
    "run.json",
    PREDICTIONS,
    OVERVIEW,
    PREPARATION,
    "history.parquet",
    "evaluation.parquet",
    "model.safetensors",
    "loss.png",
    "loss.svg",
)


def in_the_way(folder: Path) -> str | None:
    """The first file in a folder that a record would replace."""
    return next((name for name in FILES if (folder / name).exists()), None)
