"""Which hypothesis a run fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from gradus.runs.parts.part import Part, Table, Widths


class ModelPart(Part):
    """The model."""

    heading: ClassVar[str] = "Model"
    tables: ClassVar[Mapping[str, Table]] = {
        "model": {"mlp": {"hidden": (512, 512), "dropout": 0.0}, "linear": {}, "*": {}}
    }
    default_choices: ClassVar[Mapping[str, str]] = {"model": "mlp"}

    model: str = Field(default="mlp", description="linear, mlp, or package.module:factory")
    models: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="nets that differ in their seed, trained one after another and averaged  "
        "[default: of a table, 4]",
    )
    hidden: Widths | None = Field(default=None, description="widths of the hidden layers of mlp")
    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="share of their units dropped in training"
    )
