"""What the reference job is, and where its data lie: MLP 784-512-512-10 on Fashion-MNIST.

Only the standard library is imported here: a process that starts others is to be small, because
the peak memory that the system reports for a child is never below its parent's.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import sys
from pathlib import Path
from typing import NoReturn

METHODS = ("sgd", "adam")
LR, MOMENTUM, SEED, LOG_EVERY = 0.001, 0.5, 0, 100
TRAIN, TEST = 60_000, 10_000
WIDTHS = (784, 512, 512, 10)
FILES = {
    "train-images-idx3-ubyte.gz": TRAIN,
    "train-labels-idx1-ubyte.gz": TRAIN,
    "t10k-images-idx3-ubyte.gz": TEST,
    "t10k-labels-idx1-ubyte.gz": TEST,
}
BESIDE = Path("../shared/data/fashion-mnist")
WRONG = 2


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """The option that every benchmark of the reference job has."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("GRADUS_DATA", BESIDE)),
        help=f"folder of the four .gz files of Fashion-MNIST: $GRADUS_DATA, then {BESIDE}",
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Where the data lie, and how many of them are used."""
    add_data_dir(parser)
    parser.add_argument(
        "--samples",
        type=int,
        default=TRAIN,
        metavar="N",
        help="use the first N training examples (and N/6 for testing), to shorten",
    )


def flops_per_sample() -> int:
    """Multiplications and additions of a training sample in its matrix products.

    Two products a layer, forward and for the gradient of the weights, and a third, for the gradient
    of the inputs, in all layers but the first.
    """
    products = [2 * inputs * outputs for inputs, outputs in itertools.pairwise(WIDTHS)]
    return 2 * products[0] + 3 * sum(products[1:])


def find_data(folder: Path, samples: int, smallest: int, scratch: Path) -> Path:
    """The folder of the data to be used: the given one, or its first examples in ``scratch``.

    Args:
        folder: where the whole data lie.
        samples: how many training examples are wanted.
        smallest: how many are needed at least (the largest batch).
        scratch: an empty folder for shortened files.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        refuse(f"--data-dir {folder}: no {missing[0]} there; it must hold {', '.join(FILES)}")
    if not smallest <= samples <= TRAIN:
        refuse(f"--samples {samples}: give a number from {smallest} (a batch) to {TRAIN}")
    if samples == TRAIN:
        return folder
    for name, whole in FILES.items():
        kept = max(1, samples * whole // TRAIN)
        (scratch / name).write_bytes(gzip.compress(_first(folder / name, kept), 1))
    return scratch


def _first(path: Path, examples: int) -> bytes:
    """The first examples of an IDX file, as an IDX file."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        refuse(f"{path}: cannot be read: {error}")
    start = 4 + 4 * content[3]
    size = (len(content) - start) // int.from_bytes(content[4:8])
    return (
        content[:4] + examples.to_bytes(4) + content[8:start] + content[start:][: examples * size]
    )


def positive(text: str) -> int:
    """A count, as an option gives it."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def positives(text: str) -> list[int]:
    """Counts separated by commas, as an option gives them."""
    return [positive(part) for part in text.split(",")]


# The parser names what it expected after the function.
positive.__name__, positives.__name__ = "count", "list of counts"


def refuse(message: str) -> NoReturn:
    """End with one line that says what is wrong."""
    print("benchmarks:", message, file=sys.stderr)
    sys.exit(WRONG)
