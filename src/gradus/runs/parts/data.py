"""Which examples a run sees, and how they are made ready."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gradus.runs.parts.part import Names, Part


class DataPart(Part):
    """The data."""

    heading: ClassVar[str] = "Data"

    data: str = Field(
        default="digits", description="digits, fashion-mnist, mnist, a file or a folder"
    )
    target: str | None = Field(default=None, description="column to predict (CSV, Parquet)")
    categorical: Names = Field(default=(), description="columns of names, not numbers")
    drop: Names = Field(default=(), description="columns to leave out")
    missing: Literal["mean", "drop"] | None = Field(
        default=None,
        description="fill missing numbers with the mean of their column, or drop their rows",
    )
    standardize: bool = Field(default=False, description="bring inputs to mean 0 and deviation 1")
    test_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="part kept for testing, where data has no test set (0.2)",
    )
