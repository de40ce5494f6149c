"""Who executes a run, and where."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gradus.runs.parts.part import Part


class ExecutionPart(Part):
    """The engine and the machine."""

    heading: ClassVar[str] = "Execution"

    engine: Literal["auto", "eager", "native", "stacked"] = Field(
        default="auto",
        description="who executes the run: native (C++, dense networks on a CPU), eager (any "
        "model); auto takes native where it can",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where")
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="arithmetic of the run"
    )
    precision: Literal["float32", "bf16"] = Field(
        default="float32",
        description="of the products of a float32 run: bf16 takes them in bfloat16, where the "
        "processor has instructions for that",
    )
    compile: bool = Field(
        default=False,
        description="compile the calls of the model that train, by torch.compile: takes seconds to "
        "minutes at the beginning, and pays on GPUs rather than on processors",
    )
    average_every: int = Field(
        default=1,
        ge=1,
        description="steps that each of several processes takes by itself before their parameters "
        "are averaged (local SGD); 1: they average every gradient",
    )
