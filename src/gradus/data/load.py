"""How the data that the user names are found and made ready."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gradus.data.dataset import Dataset, Split
from gradus.data.idx import read_images_and_labels
from gradus.data.partition import partition
from gradus.errors import InputError

EMBEDDED = "digits"


def load(
    data: str | Path,
    *,
    target: str | None = None,
    loss: str | None = None,
    missing: str | None = None,
    standardize: bool = False,
    test_fraction: float | None = None,
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Split:
    """Load data by name or path.

    Example:
        >>> load("digits").description
        'digits: 1,437 train + 360 test, 1×8×8 images, 10 classes'
    """
    if data == EMBEDDED:
        return _digits(test_fraction, seed)
    path = Path(data)
    if path.is_dir():
        return _idx_folder(path)
    raise InputError(f"{data}: unknown data")


def _digits(test_fraction: float | None, seed: int) -> Split:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images).to(torch.uint8)[:, None]
    y = torch.from_numpy(digits.target).long()
    train, test = partition(len(x), test_fraction=test_fraction, seed=seed, labels=y)
    data = Dataset(x, y, classes=tuple(str(name) for name in digits.target_names), scale=16.0)
    return Split(data.subset(train), data.subset(test), EMBEDDED, "classification")


def _idx_folder(folder: Path) -> Split:
    def found(stem: str) -> Path:
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
        raise InputError(f"{folder}: {stem}[.gz] is missing")

    parts = [
        read_images_and_labels(
            found(f"{part}-images-idx3-ubyte"), found(f"{part}-labels-idx1-ubyte")
        )
        for part in ("train", "t10k")
    ]
    classes = tuple(str(label) for label in range(1 + max(int(y.max()) for _, y in parts)))
    train, test = (Dataset(x, y, classes=classes, scale=255.0) for x, y in parts)
    return Split(train, test, str(folder), "classification")
