"""Which files the folder of a record holds."""

from __future__ import annotations

import os
from pathlib import Path

from gradus.data.image_folder import are_images_of_classes
from gradus.errors import InputError
from gradus.runs.parts.data import KNOWN_BY_NAME

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


def check_apart(folder: Path, data: str | None = None, said: str = "") -> None:
    """Refuse a folder for a record whose files would come to stand among images, as data.

    Files of IDX are found by their names: nothing beside them spoils them.

    Args:
        folder: of the record.
        data: what is learned from; None where that is not known.
        said: what stands before the folder in the message.

    Raises:
        InputError: it is that folder or lies in it, or it holds images in folders of classes.
    """
    from gradus.data.loading import holds_idx

    is_folder = data is not None and data not in KNOWN_BY_NAME and os.path.isdir(data)
    if data is not None and is_folder and not holds_idx(Path(data)):
        place, source = folder.resolve(), Path(data).resolve()
        if place.is_relative_to(source):
            where = "is" if place == source else "lies in"
            raise InputError(
                f"{said}{folder}: {where} the folder of the data, which a record would spoil; give "
                "one outside it"
            )
    if folder.is_dir() and are_images_of_classes(folder):
        raise InputError(
            f"{said}{folder}: holds images in folders of classes, which a record would spoil as "
            "data; give another folder"
        )
