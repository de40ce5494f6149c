"""How the learning rate of a run changes with the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from gradus.models.own import is_object
from gradus.runs.parts.part import OrObject, Part, Table

if TYPE_CHECKING:
    from gradus.methods.schedules import Schedule

ScheduleName = Literal["constant", "step", "inverse-time", "inverse-sqrt", "cosine"]

SCHEDULE_CLASSES = {
    "constant": "Constant",
    "step": "StepDecay",
    "inverse-time": "InverseTime",
    "inverse-sqrt": "InverseSqrt",
    "cosine": "Cosine",
}


class SchedulePart(Part):
    """The schedule of the learning rate."""

    heading: ClassVar[str] = "Schedule of the learning rate"
    tables: ClassVar[Mapping[str, Table]] = {
        "schedule": {
            "constant": {"warmup": 0},
            "step": {"warmup": 0, "decay_every": None, "decay_factor": 0.1},
            "inverse-time": {"warmup": 0, "gamma": None},
            "inverse-sqrt": {"warmup": 0, "gamma": 1.0},
            "cosine": {"warmup": 0, "final_lr": 0.0},
        }
    }
    default_choices: ClassVar[Mapping[str, str]] = {"schedule": "constant"}

    schedule: Annotated[ScheduleName, OrObject] = Field(
        default="constant", description="how the learning rate changes with the step"
    )
    warmup: int | None = Field(
        default=None, ge=0, description="steps of linear warm-up, any schedule"
    )
    decay_every: int | None = Field(
        default=None, ge=1, description="steps between two decays of step"
    )
    decay_factor: float | None = Field(
        default=None, gt=0, description="factor of each decay of step"
    )
    gamma: float | None = Field(
        default=None, ge=0, description="γ in 1 + γ t of inverse-time and inverse-sqrt"
    )
    final_lr: float | None = Field(default=None, ge=0, description="last learning rate of cosine")

    def build_schedule(self, lr: float, steps: int) -> Schedule | None:
        """The schedule of a run of so many steps; None where the rate is constant."""
        from gradus import methods

        if is_object(self.schedule):  # a scheduler, which moves the rate from outside
            return None
        options = {
            name: getattr(self, name) for name in SchedulePart.tables["schedule"][self.schedule]
        }
        warmup = options.pop("warmup")
        if self.schedule == "constant" and not warmup:
            return None
        if self.schedule == "cosine":
            options["steps"] = steps
        schedule: Schedule = getattr(methods, SCHEDULE_CLASSES[self.schedule])(lr, **options)
        return methods.Warmup(schedule, warmup) if warmup else schedule
