"""In which batches a run sees its examples, for how long, and what it writes down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from gradus.runs.parts.part import Part, Table

SamplingName = Literal["shuffle", "sequential", "replacement", "full"]


class TrainingPart(Part):
    """The course of the training."""

    heading: ClassVar[str] = "Training"
    tables: ClassVar[Mapping[str, Table]] = {
        "sampling": {
            "shuffle": {"batch_size": 16},
            "sequential": {"batch_size": 16},
            "replacement": {"batch_size": 16},
            "full": {},
        }
    }
    default_choices: ClassVar[Mapping[str, str]] = {"sampling": "shuffle"}

    sampling: SamplingName = Field(default="shuffle", description="order of the examples")
    batch_size: int | None = Field(default=None, ge=1, description="examples in a mini-batch")
    epochs: int = Field(default=10, ge=1, description="passes over the data")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of parameters, order and split")
    log_every: int = Field(default=100, ge=1, description="batches between two rows")
