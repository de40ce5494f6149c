"""Where examples come from, and in which order."""

from gradus.data.dataset import Dataset, Split, Task
from gradus.data.load import load
from gradus.data.sampling import SAMPLINGS, Sampling, SamplingName

__all__ = ["SAMPLINGS", "Dataset", "Sampling", "SamplingName", "Split", "Task", "load"]
