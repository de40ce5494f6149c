"""How the learning rate of a run changes with the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from gradus.models.own import is_object
from gradus.runs.parts.part import OrObject, Part, Table

if TYPE_CHECKING:
    from gradus.methods.schedules import Schedule

ScheduleName = Literal[
    "constant",
    "step",
    "exponential",
    "inverse-time",
    "inverse-sqrt",
    "linear",
    "polynomial",
    "cosine",
    "one-cycle",
    "warm-restarts",
    "stable-decay",
]

SCHEDULE_CLASSES = {
    "constant": "Constant",
    "step": "StepDecay",
    "exponential": "Exponential",
    "inverse-time": "InverseTime",
    "inverse-sqrt": "InverseSqrt",
    "linear": "Polynomial",
    "polynomial": "Polynomial",
    "cosine": "Cosine",
    "one-cycle": "OneCycle",
    "warm-restarts": "WarmRestarts",
    "stable-decay": "StableDecay",
}


class SchedulePart(Part):
    """The schedule of the learning rate."""

    heading: ClassVar[str] = "Schedule of the learning rate"
    tables: ClassVar[Mapping[str, Table]] = {
        "schedule": {
            "constant": {"warmup": 0},
            "step": {"warmup": 0, "decay_every": None, "decay_factor": 0.1},
            "exponential": {"warmup": 0, "decay_factor": None},
            "inverse-time": {"warmup": 0, "gamma": None},
            "inverse-sqrt": {"warmup": 0, "gamma": 1.0},
            "linear": {"warmup": 0, "final_lr": 0.0},
            "polynomial": {"warmup": 0, "power": 2.0, "final_lr": 0.0},
            "cosine": {"warmup": 0, "final_lr": 0.0},
            "one-cycle": {"rising_share": 0.3, "start_divisor": 25.0, "final_divisor": 1e4},
            "warm-restarts": {"warmup": 0, "period": None, "period_factor": 1, "final_lr": 0.0},
            "stable-decay": {"warmup": 0, "decay_share": 0.2, "final_lr": 0.0},
        }
    }
    default_choices: ClassVar[Mapping[str, str]] = {"schedule": "constant"}

    schedule: Annotated[ScheduleName, OrObject] = Field(
        default="constant", description="how the learning rate changes with the step"
    )
    warmup: int | None = Field(
        default=None, ge=0, description="steps of linear warm-up, any schedule but one-cycle"
    )
    decay_every: int | None = Field(
        default=None, ge=1, description="steps between two decays of step"
    )
    decay_factor: float | None = Field(
        default=None, gt=0, description="factor of each decay of step, of each step of exponential"
    )
    gamma: float | None = Field(
        default=None, ge=0, description="γ in 1 + γ t of inverse-time and inverse-sqrt"
    )
    final_lr: float | None = Field(
        default=None, ge=0, description="last learning rate of what falls to one"
    )
    power: float | None = Field(default=None, gt=0, description="power of polynomial")
    rising_share: float | None = Field(
        default=None, gt=0, lt=1, description="share of the steps over which one-cycle rises"
    )
    start_divisor: float | None = Field(
        default=None, ge=1, description="what one-cycle divides the learning rate by at first"
    )
    final_divisor: float | None = Field(
        default=None, ge=1, description="what it divides that of the start by at the end"
    )
    period: int | None = Field(
        default=None, ge=1, description="steps of the first cosine of warm-restarts"
    )
    period_factor: int | None = Field(
        default=None, ge=1, description="how many times as long the next cosine is"
    )
    decay_share: float | None = Field(
        default=None, gt=0, le=1, description="share of the steps over which stable-decay falls"
    )

    def build_schedule(self, lr: float, steps: int) -> Schedule | None:
        """The schedule of a run of so many steps; None where the rate is constant."""
        from gradus import methods

        if is_object(self.schedule):  # a scheduler, which moves the rate from outside
            return None
        options = {
            name: getattr(self, name) for name in SchedulePart.tables["schedule"][self.schedule]
        }
        warmup = options.pop("warmup", 0)
        if self.schedule == "constant" and not warmup:
            return None
        made = getattr(methods, SCHEDULE_CLASSES[self.schedule])
        if "steps" in (field.name for field in fields(made)):  # it ends with the run
            options["steps"] = steps
        schedule: Schedule = made(lr, **options)
        return methods.Warmup(schedule, warmup) if warmup else schedule
