"""Groups of parameters that a method moves by options of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from torch import nn

from gradus import methods, optim
from gradus.errors import InputError, brief, quoted
from gradus.methods.method import FirstOrder, Method
from gradus.optim.as_method import OptimizerMethod
from gradus.runs.objects.identity import plain

DECAYS = ("all", "weights")
"""Which parameters a weight decay is for: all, or those of two dimensions at least, so that biases
and the scales of norms are left to themselves."""


@dataclass(frozen=True)
class Groups:
    """What the user wants of groups.

    Attributes:
        given: of each group the names of layers or parameters, under ``names``, and its options.
        decay: of ``DECAYS``.
    """

    given: Sequence[Mapping[str, Any]] = ()
    decay: str = "all"

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise InputError(f"decay={quoted(self.decay)}: choose {' | '.join(DECAYS)}")
        if not isinstance(self.given, list | tuple):
            raise InputError(f"parameters {quoted(self.given)}: give a list of dicts, one a group")
        for group in self.given:
            if not isinstance(group, Mapping) or not group.get("names"):
                raise InputError(
                    f"parameters {quoted(group)}: give a dict for each group, with the names of "
                    'layers or parameters and its options, as {"names": ["0"], "lr": 0.01}'
                )

    @property
    def options(self) -> dict[str, Any]:
        """How they stand in a record."""
        found: dict[str, Any] = {"decay": self.decay} if self.decay != "all" else {}
        return found | ({"parameters": plain(self.given)} if self.given else {})

    def of(self, method: Method, model: nn.Module) -> OptimizerMethod:
        """The method with the groups of this model.

        Raises:
            InputError: a name is none of the model, or stands in two groups; or the method has no
                such option.
        """
        assert isinstance(method, OptimizerMethod)
        moving = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        group_of: dict[int, int] = {}
        for number, group in enumerate(self.given, start=1):
            names = group["names"]
            for wanted in [names] if isinstance(names, str) else names:
                found = [
                    at for at, (name, _) in enumerate(moving)
                    if f"{name}.".startswith(f"{wanted}.")
                ]  # fmt: skip
                if not found:
                    known = brief(", ".join(name for name, _ in moving), 120)
                    raise InputError(
                        f"parameters {quoted(wanted)}: no parameter that moves is called so or "
                        f"stands in a layer of that name; there are {known}"
                    )
                for at in found:
                    if group_of.setdefault(at, number) != number:
                        raise InputError(f"parameters {moving[at][0]}: stands in two groups")
        groups: dict[tuple[int, bool], list[int]] = {}
        for at, (_, parameter) in enumerate(moving):
            decays = self.decay == "all" or parameter.ndim >= 2
            groups.setdefault((group_of.get(at, 0), decays), []).append(at)
        made = []
        for (number, decays), members in sorted(groups.items(), key=lambda each: each[0][0]):
            options = {} if number == 0 else dict(self.given[number - 1])
            options.pop("names", None)
            made.append((tuple(members), options if decays else {**options, "weight_decay": 0.0}))
        options_known = method.option_names
        if self.decay != "all" and "weight_decay" not in options_known:
            raise InputError(f"decay={self.decay}: {method.name} has no weight_decay; leave it out")
        for _, options in made:
            if unknown := [name for name in options if name not in options_known]:
                raise InputError(
                    f"parameters {quoted(unknown[0])}: is no option of {method.name}, which has "
                    f"{', '.join(sorted(options_known))}"
                )
        return replace(method, groups=tuple(made))


def recorded_groups(identity: Mapping[str, Any]) -> tuple[FirstOrder | None, dict[str, Any]]:
    """The method that a record says to have had groups, and how they stand there.

    Args:
        identity: what the record says of its method.

    Returns:
        No method where it was none of gradus, or has options that no record holds.
    """
    name = str(identity.get("name", ""))
    kind: Any = getattr(methods, name.removeprefix("gradus.methods."), None)
    if not name.startswith("gradus.methods.") or not hasattr(kind, "__dataclass_fields__"):
        return None, {}
    own = {each.name for each in fields(kind)}
    groups = {each: value for each, value in identity["options"].items() if each not in own}
    options = {each: value for each, value in identity["options"].items() if each in own}
    try:
        as_given = {e: tuple(v) if isinstance(v, list) else v for e, v in options.items()}
        method: Any = kind(**as_given)
    except (TypeError, ValueError):
        return None, groups
    is_whole = isinstance(method, FirstOrder) and options == {
        each: plain(getattr(method, each)) for each in options
    }
    return method if is_whole else None, groups


def as_optimizer(method: Method) -> OptimizerMethod:
    """A method as an optimizer, which can have groups.

    Raises:
        InputError: it is none of first order, or one of the user's own.
    """
    if isinstance(method, OptimizerMethod):
        return method
    name = type(method).__name__
    kind = getattr(optim, name, None)
    if not isinstance(method, FirstOrder) or kind is None:
        raise InputError(
            f"parameters, decay: groups are for first-order methods of gradus and for optimizers, "
            f"not {name}"
        )
    options = {each.name: getattr(method, each.name) for each in fields(method)}  # type: ignore[arg-type]
    return OptimizerMethod(partial(kind, **options), name)
