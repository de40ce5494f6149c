"""What determines a run: one schema for the command line, TOML files, Python and run.json."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError, model_validator
from pydantic.fields import FieldInfo

from gradus.errors import InputError, quoted
from gradus.methods.catalogue import entries
from gradus.models.own import check_named, is_object, is_users, shown
from gradus.runs import earlier
from gradus.runs.choices import ON_ALL_DATA, OPTIONS, changed, complete, flag
from gradus.runs.files import read_json, read_toml
from gradus.runs.other_names import meant, meant_choice
from gradus.runs.parts import (
    DataPart,
    ExecutionPart,
    MethodPart,
    ModelPart,
    ObjectivePart,
    SchedulePart,
    TrainingPart,
)
from gradus.runs.parts.method import AUTO, has_one_rate
from gradus.runs.parts.objective import PENALTIES
from gradus.runs.words import as_call

if TYPE_CHECKING:
    from gradus.methods import Method


class RunSpec(
    ExecutionPart, TrainingPart, SchedulePart, MethodPart, ObjectivePart, ModelPart, DataPart
):
    """Everything that determines a run; the same spec gives the same record.

    It is the product of its parts, which stand in :mod:`gradus.runs.parts`: the data, the model,
    the loss and penalty, the method, the schedule, the training and the execution. The options of
    the method are the fields of its dataclass in :mod:`gradus.methods`.

    Options that belong to a choice (the momentum of SGD, the widths of an MLP) are refused where
    they have no meaning, and take their default where they are not given, so that a spec is always
    complete.

    Raises:
        InputError: (a ValueError) an option is unknown, out of its range, or does not belong to the
            choice made.

    Example:
        >>> import gradus
        >>> spec = gradus.RunSpec(data="digits", method="adam", batch_size=64)
        >>> spec.lr, spec.momentum, spec.title
        (0.001, None, 'Optimizer-Adam lr-0.001 bs-64')
    """

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            said = first_line(error, type(self).model_fields)
            raise InputError(as_call(said)) from None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """Refuse options that do not belong to the choices made; fill in those that do."""
        if not isinstance(given, Mapping):
            return given
        return complete(given)

    @model_validator(mode="after")
    def _buildable(self) -> RunSpec:
        """The equations have the last word on their hyper-parameters."""
        if self.method == "proximal-gradient" and self.penalty is None:
            raise ValueError(f"method proximal-gradient needs --penalty: {' | '.join(PENALTIES)}")
        if self.lr == AUTO and self.method in ON_ALL_DATA:
            raise ValueError(
                f"lr auto: is found for first-order methods; of {self.method} give a number"
            )
        if self.lr == AUTO and not is_users(self.method) and has_one_rate(self.method):
            raise ValueError(
                f"lr auto: is found by rates that grow from step to step, and {self.method} takes "
                "one for all; give a number"
            )
        if not is_users(self.method):
            rated = self.model_copy(update={"lr": 1.0}) if self.lr == AUTO else self
            rated.build_method(steps=1)
        self.build_penalty()
        return self

    @classmethod
    def read(cls, values: Mapping[str, Any], *, where: str = "") -> RunSpec:
        """A spec from what the user wrote; what is wrong is said in one line.

        Args:
            values: options by name.
            where: what the values were read from, for the message.

        Raises:
            InputError: the first thing that is wrong.
        """
        spec = cls.__new__(cls)
        try:
            BaseModel.__init__(spec, **values)  # whose errors are said in the words of flags here
        except ValidationError as error:
            raise InputError(where + first_line(error, cls.model_fields)) from None
        return spec

    @classmethod
    def read_file(
        cls,
        path: Path,
        changes: Mapping[str, Any],
        *,
        trust: bool = False,
        tell: Callable[[str], None] = lambda message: None,
    ) -> RunSpec:
        """A spec from a TOML file, or from the run.json of an earlier run, with some changes.

        Args:
            path: of the file.
            changes: options by name, which replace its own.
            trust: whether it may name a model that is code.
            tell: told, in one line, what was chosen automatically for that run and is chosen anew.

        Raises:
            InputError: it cannot be read, or names code that is neither in ``changes`` nor trusted.
        """
        automatic: Collection[str] = ()
        recorded = path.suffix == ".json"
        try:
            if recorded:
                record = dict(read_json(path))
                if "loop" in record:
                    raise InputError(
                        f"{path}: is the record of a loop of one's own, which has no specification"
                    )
                content, automatic = earlier.spec_of(record["spec"]), dict(record.get("auto") or {})
            else:
                content = read_toml(path)[1]
            content = {name.replace("-", "_"): value for name, value in dict(content).items()}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; give a TOML file or a run.json") from None
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a run's specification: {quoted(error)}") from None
        if recorded:
            from gradus.runs.again import again

            was = cls.read(content, where=f"{path}: ")
            rate_found = bool(record.get("learning_rate"))
            spec, said = again(was, automatic, changes, where=f"{path}: ", rate_found=rate_found)
            if said is not None:
                tell(said)
        else:
            spec = cls.read(changed(content, changes), where=f"{path}: ")
        for option in ("model", "method"):
            named = [str(changes.get(option))]
            check_named([getattr(spec, option)], path, named=named, trust=trust, option=option)
        return spec

    @property
    def fixed(self) -> RunSpec:
        """The same spec for a sweep: of one net, which trains to its last epoch.

        What else was left to follow from the data still does.
        """
        if not self.auto:
            return self
        changes: dict[str, Any] = {"models": 1}
        if "patience" in self.auto:
            changes["patience"] = None
        return self.model_copy(update=changes)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> RunSpec:
        """The same spec with some options replaced, unchecked: they follow from no data any more.

        Example:
            >>> spec = RunSpec(data="houses.csv", target="price").model_copy(update={"epochs": 3})
            >>> spec.epochs, "epochs" in spec.auto, "lr" in spec.auto
            (3, False, True)
        """
        if update and "auto" not in update:
            update = {**update, "auto": tuple(name for name in self.auto if name not in update)}
        return super().model_copy(update=update, deep=deep)

    def build_method(self, steps: int, given: Method | None = None) -> Method:
        """The method with its learning-rate schedule, for a run of so many steps.

        Args:
            steps: of the run.
            given: the method, where the spec says only what identifies it.
        """
        from gradus import methods

        method = self._moved_by(given or self.build_equation(self.build_schedule(self.lr, steps)))
        if self.average is None:
            return method
        if self.ema is not None:
            raise ValueError("average does not go with --ema, another mean: give one of them")
        return methods.Averaged(method, after=steps // 2 if self.average == "suffix" else 0)

    def _moved_by(self, method: Method) -> Method:
        """The method, or what is around it."""
        from gradus import methods

        if any(getattr(self, name) is not None for name in AROUND):
            return self._around(method)
        if not self.proximal or isinstance(method, methods.ProximalGradient):
            return method
        if not isinstance(method, methods.FirstOrder):
            raise ValueError(
                f"proximal needs a first-order method, which {self.method} is not: "
                "use proximal-gradient, or sgd, adam, ... with --proximal"
            )
        return methods.Proximal(method)

    def _around(self, method: Method) -> Method:
        """The method within those that are asked for around it.

        Raises:
            ValueError: they do not go together, or not with the method.
        """
        from gradus import methods

        asked = [name for name in AROUND if getattr(self, name) is not None]
        if len(asked) > 1 or self.proximal:
            other = asked[1] if len(asked) > 1 else "proximal"
            raise ValueError(f"{asked[0]} does not go with {flag(other)}: give one of them")
        if not isinstance(method, methods.FirstOrder):
            raise ValueError(
                f"{asked[0]} needs a first-order method, which {self.method} is not: use sgd, "
                "adam, ..."
            )
        if self.sam is not None:
            return methods.SAM(method, self.sam)
        if self.asam is not None:
            return methods.SAM(method, self.asam, adaptive=True)
        assert self.lookahead is not None, "the last of them"
        return methods.Lookahead(method, self.lookahead)

    @property
    def title(self) -> str:
        """The title of the loss curve: ``Optimizer-SGD lr-0.001 mt-0.5 bs-16``."""
        name = re.split("[.:]", shown(self.method))[-1]
        parts = [f"Optimizer-{entries()[name].class_name if name in entries() else name}"]
        for short, value in (("lr", self.lr), ("mt", self.momentum), ("mt", self.beta)):
            if value is not None:
                parts.append(f"{short}-{plain(value)}")
        alone = "own" if is_object(self.sampling) else "full"
        times = f"x{self.accumulate}" if self.accumulate > 1 else ""
        averaged = [] if self.ema is None else [f"ema-{plain(self.ema)}"]
        return " ".join([*parts, f"bs-{self.batch_size or alone}{times}", *averaged])


def plain(number: float) -> str:
    """A number without exponent: 0.00001."""
    import numpy as np

    return np.format_float_positional(number, trim="-")


def run_id(spec: RunSpec) -> str:
    """What names a run: 16 hexadecimal digits of the SHA-256 of its spec.

    The digest is of the canonical JSON: sorted keys, no spaces, every option.

    Example:
        >>> import gradus
        >>> from gradus.runs.spec import run_id
        >>> spec = gradus.RunSpec(lr=0.1)
        >>> len(run_id(spec)), run_id(spec) == run_id(gradus.RunSpec(lr="0.1", momentum=0.5))
        (16, True)
    """
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:16]


def canonical(spec: RunSpec) -> str:
    """The spec as JSON with every option, sorted keys and no spaces."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


AROUND = ("sam", "asam", "lookahead")
"""What puts another method around that of the run; one of them at most."""

WRAPPERS = {
    "sam": "SAM",
    "asam": "SAM",
    "lookahead": "Lookahead",
    "proximal": "Proximal",
    "average": "Averaged",
}
"""The class that each option puts around the method."""

OBJECTS = ("data", "model", "loss", "method")
"""Parts that ``gradus.train`` takes as objects too."""


def first_line(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """The first thing that pydantic found, as one line in the words of the command line."""
    found = error.errors(include_url=False)[0]
    if found["type"] == "value_error":
        # The equations name the hyper-parameter first: "lr must be ...".
        message = str(found["ctx"]["error"])
        name = message.partition(" ")[0].partition("[")[0]
        return flag(message) if name in fields else message
    name, given, reason = str(found["loc"][0]), found["input"], found["msg"]
    if found["type"] == "extra_forbidden":
        return no_such_option(name, fields)
    if name in OBJECTS and not isinstance(given, str | int | float | list | None):
        return (
            f"{flag(name)}: an object of {type(given).__name__}, where a spec takes a name; give "
            "it to gradus.train(data, model=.., loss=.., method=..)"
        )
    if name == "schedule" and not isinstance(given, str | int | float | list | None):
        return (
            f"{flag(name)}: {quoted(given, 60)}, where a spec takes a name; give a scheduler of "
            "PyTorch as callbacks=[gradus.Scheduler(lambda optimizer: ..)]"
        )
    if name == "lr" and callable(given):
        return (
            f"{flag(name)}: a function, where a spec takes a number; give --schedule, or the "
            "method as an object, as gradus.methods.SGD(lr=gradus.methods.Cosine(..))"
        )
    if found["type"] == "literal_error":
        accepted = choices(fields[name].annotation)
        choice = meant_choice(str(given), accepted)
        hint = f" (did you mean {choice}?)" if choice else nearest(given, accepted)
        return f"{flag(name)} {quoted(given)}: choose {' | '.join(accepted)}{hint}"
    if found["type"] in ("missing", "too_long"):
        given = ",".join(map(str, given))
        reason = "must be two numbers, as 0.9,0.999"
    reason = reason.replace("Input should be", "must be").partition(", unable to")[0]
    if found["type"] == "float_parsing" and (words := choices(fields[name].annotation)):
        reason += f", or {' | '.join(words)}"
    return f"{flag(name)} {quoted(given)}: {reason}"


def no_such_option(name: str, known: Iterable[str]) -> str:
    """What is said of an option that there is not, with what may be meant of those there are.

    Example:
        >>> no_such_option("max_epochs", ["epochs", "lr"])
        '--max-epochs: no such option (did you mean --epochs?)'
    """
    flags = {each: flag(each) for each in known}
    others = meant(name, flags.values())
    others = others or [flags[each] for each in difflib.get_close_matches(name, flags, n=1)]
    hint = f" (did you mean {' or '.join(others)}?)" if others else ""
    return f"{flag(quoted(name))}: no such option{hint}"


def nearest(given: object, known: Collection[str]) -> str:
    """The known name that is likeliest meant, as the end of a message."""
    near = difflib.get_close_matches(quoted(given), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def defaults_of(option: str) -> list[str]:
    """What holds where an option is not given: the usual default, then others with their choice."""
    usual = RunSpec.model_fields[option].default
    owners: dict[str, list[str]] = {}
    for table in OPTIONS.values():
        for choice, options in table.items():
            if options.get(option) is not None:
                owners.setdefault(_shown(options[option]), []).append(choice)
    if option == "sampling":
        return [_shown(usual), f"{', '.join(sorted(ON_ALL_DATA))}: full"]
    if not owners:
        owners = {_shown(usual): []}
    # What most choices share comes first, and says nothing of whose it is.
    (first, _), *others = sorted(owners.items(), key=lambda owned: -len(owned[1]))
    told = [first, *(f"{', '.join(names)}: {shown}" for shown, names in others)]
    return [part for part in told if part]


def _shown(default: Any) -> str:
    """A default as it is written on the command line; nothing for what is off."""
    if default is None or default is False or default == ():
        return ""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def choices(annotation: Any) -> list[str]:
    """The names that a field accepts, where it is a choice between names."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [name for part in get_args(annotation) for name in choices(part)]
