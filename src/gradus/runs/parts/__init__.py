"""The parts of a run's specification: each declares its own options, and what belongs to what."""

from gradus.runs.parts.data import DataPart as DataPart
from gradus.runs.parts.execution import ExecutionPart as ExecutionPart
from gradus.runs.parts.method import MethodPart as MethodPart
from gradus.runs.parts.model import ModelPart as ModelPart
from gradus.runs.parts.objective import ObjectivePart as ObjectivePart
from gradus.runs.parts.part import Part as Part
from gradus.runs.parts.schedule import SchedulePart as SchedulePart
from gradus.runs.parts.training import TrainingPart as TrainingPart

PARTS: tuple[type[Part], ...] = (
    DataPart,
    ModelPart,
    ObjectivePart,
    MethodPart,
    SchedulePart,
    TrainingPart,
    ExecutionPart,
)
"""All parts, in the order in which they are read."""
