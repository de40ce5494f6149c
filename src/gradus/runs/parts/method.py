"""How w moves: the method of a run, and its hyper-parameters.

They are declared once, as the fields of the dataclasses in :mod:`gradus.methods`; a method that is
added there is an option here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model

from gradus.methods.catalogue import REQUIRED, Entry, entries
from gradus.runs.parts.part import Names, OrUsers, Pair, Part, Table

if TYPE_CHECKING:
    from gradus.methods import Method
    from gradus.methods.schedules import Schedule

LineSearchName = Literal["none", "backtracking", "strong-wolfe"]

AUTO = "auto"
"""In place of a learning rate: it is found by short trainings before the run."""

TYPES: dict[str, Any] = {
    "LearningRate": float | Literal["auto"],
    "Number": float,
    "float": float,
    "int": int,
    "bool": bool,
    "tuple[Number, Number]": Pair,
    "Search | None": LineSearchName,
}
"""The type of an option, by the annotation of the field that it stands for."""

OPEN_IN_EQUATIONS = {"lr": 0.001, "beta": 0.9}
"""What a run takes where an equation leaves a hyper-parameter open."""

IN_RUNS = {
    "lr": "learning rate α ≥ 0, with which a schedule starts; auto: found by short trainings "
    "first, as sgd and its kin do for a model of your own where none is given"
}
"""What is said otherwise of a run, whose schedule has options of its own."""

OF_THE_LECTURE = {"sgd": {"momentum": 0.5}}
"""What the classical training takes and the equation does not."""


def _defaults(entry: Entry) -> dict[str, Any]:
    """The hyper-parameters of a method, with what a run takes for each that is not given."""
    defaults: dict[str, Any] = {}
    for field in entry.hyperparameters:
        usual = OPEN_IN_EQUATIONS.get(field.name) if field.default is REQUIRED else field.default
        if TYPES[field.annotation] is LineSearchName and usual is None:
            usual = "none"
        defaults[field.name] = usual
    return defaults | OF_THE_LECTURE.get(entry.name, {})


def _fields() -> dict[str, Any]:
    """An option for every hyper-parameter, which all methods that have it share.

    What it means is said once for those of which it is the same.
    """
    meanings: dict[str, dict[str, list[str]]] = {}
    kinds: dict[str, Any] = {}
    for entry in entries().values():
        for field in entry.hyperparameters:
            kinds.setdefault(field.name, TYPES[field.annotation])
            owners = meanings.setdefault(field.name, {})
            meaning = IN_RUNS.get(field.name, field.meaning)
            owners.setdefault(meaning, []).append(entry.name)
    fields: dict[str, Any] = {}
    for name, kind in kinds.items():
        told = [
            meaning if len(owners) == len(entries()) else f"{meaning} ({', '.join(owners)})"
            for meaning, owners in meanings[name].items()
        ]
        extra: Any = {"metavar": "X|auto"} if name == "lr" else None
        described = Field(default=None, description="; ".join(told), json_schema_extra=extra)
        fields[name] = (kind | None, described)
    return fields


class _Declared(Part):
    """The choice of a method."""

    heading: ClassVar[str] = "Method"
    tables: ClassVar[Mapping[str, Table]] = {
        "method": {name: _defaults(entry) for name, entry in entries().items()}
    }
    default_choices: ClassVar[Mapping[str, str]] = {"method": "sgd"}

    method: Annotated[
        Literal[tuple(entries())],  # type: ignore[valid-type]  # known when it runs
        OrUsers,
    ] = Field(default="sgd", description="how the parameters move: a name, or package.module:Class")
    method_options: Names | None = Field(
        default=None, description="of a method of your own, as lr=0.1,momentum=0.9"
    )

    def build_equation(self, schedule: Schedule | None) -> Method:
        """The method, its learning rate a number or this schedule.

        Raises:
            ValueError: the equation does not take a hyper-parameter.
        """
        from gradus import methods

        options = {name: getattr(self, name) for name in _Declared.tables["method"][self.method]}
        if options.get("line_search") == "none":
            options["line_search"] = None
        if schedule is not None:
            if has_one_rate(self.method):
                raise ValueError(
                    f"schedule: {self.method} takes one learning rate for all steps, a number; "
                    "leave --schedule and --warmup out"
                )
            options["lr"] = schedule
        method: Method = getattr(methods, entries()[self.method].class_name)(**options)
        return method


def has_one_rate(method: str) -> bool:
    """Whether the learning rate of a method is a number, which no schedule moves.

    Example:
        >>> has_one_rate("ftrl"), has_one_rate("adam")
        (True, False)
    """
    annotations = {each.name: each.annotation for each in entries()[method].hyperparameters}
    return annotations["lr"] == "Number"


if TYPE_CHECKING:

    class MethodPart(_Declared):
        """The method and its hyper-parameters, each a field that methods declare."""

        def __getattr__(self, name: str) -> Any: ...

else:
    MethodPart = create_model("MethodPart", __base__=_Declared, **_fields())
