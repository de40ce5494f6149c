"""Which examples a run sees, and how they are made ready."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gradus.errors import quoted
from gradus.runs.parts.part import Names, Part, Widths

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".feather", ".arrow", ".jsonl", ".ndjson", ".xlsx")
"""How the names of files end that hold tables; those of text may have .gz or .zst behind it."""

SPARSE = (".svm", ".svmlight", ".libsvm")
"""How those end that hold sparse rows; .gz, .bz2 or .zst may stand behind it."""

KNOWN_BY_NAME = ("digits", "fashion-mnist", "mnist")
"""Data of which no examples are held for validation, but in a sweep."""

VALIDATION_FRACTION = 0.15
"""The share of the training examples that is held where nothing is said of it."""

LARGEST = 10_000
"""Pixels that images are high or wide."""

OWN_PARTS = "seed"
"""What ``split_seed`` may be, so that each seed draws parts of its own."""


def _decimal(value: object) -> object:
    return DECIMALS.get(str(value), value)


def _possible_path(value: str) -> str:
    """Refuse what no path holds: it would be an error of the operating system wherever it is used.

    Raises:
        ValueError: there is something of the kind.
    """
    try:
        possible = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise ValueError(f"data {quoted(value)}: holds a character that no path has")
    return value


SEPARATORS = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "pipe": "|", "space": " "}
"""What cannot be typed, or is a separator where it is typed, by name."""

DECIMALS = {"comma": ",", "point": "."}


def _separator(value: str) -> str:
    """What separates fields: one character.

    Raises:
        ValueError: it is none that can.
    """
    found = SEPARATORS.get(value, value)
    if len(found) != 1 or not found.isascii() or found.isalnum() or found in "\"'.-+_\n\r":
        raise ValueError(
            f"separator {quoted(value)}: fields are separated by one character, such as ; or "
            f"{', '.join(name for name in SEPARATORS if name.isalpha())}"
        )
    return found


def _column_of_weights(value: object) -> object:
    """The name of a column.

    Raises:
        ValueError: weights themselves are given.
    """
    if value is not None and not isinstance(value, str):
        raise ValueError(
            "weights: is the name of a table's column; with arrays give "
            "gradus.data.Dataset(x, y, weights=..) of tensors"
        )
    return value


def _listed(value: object) -> object:
    """Names as a text, where they are a list of them."""
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    return value


def _one_or_two(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) not in (1, 2) or max(value) > LARGEST:
        given = ",".join(map(str, value))
        raise ValueError(
            f"image_size {given}: give one number, or two, height and width, of at most {LARGEST:,}"
        )
    return value


class DataPart(Part):
    """The data."""

    heading: ClassVar[str] = "Data"

    data: Annotated[str, AfterValidator(_possible_path)] = Field(
        default="digits", description="digits, fashion-mnist, mnist, a file or a folder"
    )
    target: Annotated[str | None, BeforeValidator(_listed)] = Field(
        default=None,
        description="column to predict (tables); file of the targets (.npy, a matrix in .npz)",
    )
    categorical: Names = Field(default=(), description="columns of names, not numbers")
    drop: Names = Field(default=(), description="columns to leave out")
    separator: Annotated[str, AfterValidator(_separator)] | None = Field(
        default=None,
        description="what stands between the fields of a text file: one character, or tab, "
        "semicolon, comma, pipe or space  [default: told by the file]",
    )
    decimal: Annotated[Literal[",", "."] | None, BeforeValidator(_decimal)] = Field(
        default=None,
        description="what stands before the fraction of a number that is text: , or ., or comma or "
        "point  [default: told by the column]",
        json_schema_extra={"metavar": "[,|.]"},
    )
    missing_values: Names = Field(
        default=(),
        description="words and numbers that mean that no value stands there, such as -999,n.k.; "
        "beside empty fields, NA, NaN, null, ?, - and the like",
    )
    missing: Literal["mean", "median", "drop"] | None = Field(
        default=None,
        description="fill missing numbers with the mean or the median of their column, or drop "
        "their rows  [default: median, of a table]",
    )
    standardize: bool = Field(
        default=False,
        description="bring inputs to mean 0 and deviation 1  [default: of a table, yes]",
    )
    scaling: Literal["standard", "robust"] | None = Field(
        default=None,
        description="how numbers of a table are standardised: by mean and deviation; or by median "
        "and quartiles, extremes drawn in",
    )
    pieces: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="cut each column of numbers of a table into so many pieces, with a feature for "
        "each, as trees do; 0: none  [default: of a table, up to 32]",
    )
    standardize_target: bool = Field(
        default=False,
        description="learn numbers to predict at mean 0 and deviation 1, and give them in their "
        "own unit  [default: of a table, yes]",
    )
    validation_fraction: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of the training examples held to choose on; 0: none  [default: 0.15 of "
        "your own files and in sweeps, else 0]",
    )
    test_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share held for testing, where data has no test set  [default: 0.2]",
    )
    split: Literal["random", "time"] = Field(
        default="random",
        description="how parts are drawn; time: the last rows of the file, which has to stand in "
        "the order of time, test, and those before them validate",
    )
    split_seed: int = Field(
        default=0, ge=0, lt=2**63, description="draws the parts; seed: each seed its own"
    )
    group: str | None = Field(
        default=None, description="column of which no value stands in two parts (CSV, Parquet)"
    )
    validation: Annotated[str, AfterValidator(_possible_path)] | None = Field(
        default=None,
        description="file of a table or of svmlight whose rows validate, prepared as those that "
        "train",
        json_schema_extra={"metavar": "FILE"},
    )
    test: Annotated[str, AfterValidator(_possible_path)] | None = Field(
        default=None,
        description="likewise, whose rows test",
        json_schema_extra={"metavar": "FILE"},
    )
    indices_from: int | None = Field(
        default=None,
        ge=0,
        le=1,
        description="number from which the indices of a file of svmlight count  [default: 0 where "
        "one of them is 0, else 1]",
    )
    image_size: Annotated[Widths, AfterValidator(_one_or_two)] | None = Field(
        default=None,
        description="height and width that the images of a folder are brought to, or one number "
        "for both",
    )
    stream: bool | None = Field(
        default=None,
        description="read the rows of a table, or a folder of tables, as they train: they need not "
        "fit into the memory  [default: where they need more than a quarter of it]",
    )
    shuffle_buffer: int | None = Field(
        default=None,
        ge=1,
        description="rows of a table that is streamed that are shuffled together, about  [default: "
        "64 MB of them]",
    )
    weights: Annotated[str | None, BeforeValidator(_column_of_weights)] = Field(
        default=None,
        description="column of what a row counts in the loss, a number >= 0; no feature (tables)",
    )

    @property
    def size_of_images(self) -> tuple[int, int] | None:
        """Height and width, where they are given."""
        return None if self.image_size is None else (self.image_size[0], self.image_size[-1])
