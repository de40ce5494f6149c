"""The parts of a run that are objects, not names: what a spec says of them, and they themselves.

A spec says what identifies an object; the object itself goes beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gradus.errors import InputError, quoted
from gradus.models.own import is_object, is_own, shown
from gradus.runs.parts.training import name_of_metric

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from gradus.data.arrays import ReadAs
    from gradus.data.dataset import Split
    from gradus.data.preparation import AnyPreparation
    from gradus.data.targets import Targets
    from gradus.methods import Method
    from gradus.metrics.own import Metric
    from gradus.risk.losses import Loss
    from gradus.runs.objects.groups import Groups
    from gradus.runs.objects.handed import Data
    from gradus.runs.objects.identity import Identity
    from gradus.runs.objects.models import Maker
    from gradus.runs.spec import RunSpec

PARTS = ("data", "model", "loss", "method", "schedule", "sampling")
"""The options of a run in whose place an object can stand; a schedule is a scheduler of PyTorch, a
sampling the order of a loader."""


@dataclass(frozen=True, eq=False)
class Objects:
    """What was handed over.

    Attributes:
        data: the examples.
        model: what makes the model.
        is_module: whether that was a module, with parameters to begin with.
        loss: the loss.
        method: the method.
        groups: of its parameters.
        metrics: the user's own, by name.
        identities: what identifies each, by the name of its option.
    """

    data: Data | None = None
    model: Maker | None = None
    is_module: bool = False
    loss: Loss | None = None
    method: Method | None = None
    groups: Groups | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    identities: Mapping[str, Identity] = field(default_factory=dict)

    def check(self, spec: RunSpec) -> None:
        """Refuse a spec that asks for objects that are not here.

        Raises:
            InputError: it does.
        """
        for name in PARTS:
            written = getattr(spec, name)
            if is_object(written) and name not in self.identities:
                raise InputError(
                    f"--{name} {written}: was an object in Python, which no spec or record holds; "
                    f"give it again, to gradus.train(data, model=.., loss=.., method=..)"
                )
        for written in spec.metrics:
            if is_object(written) and name_of_metric(written) not in self.metrics:
                raise InputError(
                    f"--metrics {written}: was a function in Python, which no spec or record "
                    "holds; give it again, to gradus.train(data, metrics=[..])"
                )
        is_scheduled = spec.schedule != "constant" and not is_object(spec.schedule)
        if self.method is not None and (is_scheduled or spec.warmup):
            option = "--schedule " + spec.schedule if is_scheduled else "--warmup"
            from gradus.optim.as_method import OptimizerMethod

            if isinstance(self.method, OptimizerMethod):
                raise InputError(
                    f"{option}: the method is an optimizer, whose learning rate a scheduler of "
                    "torch moves; give callbacks=[gradus.Scheduler(lambda optimizer: ..)]"
                )
            raise InputError(
                f"{option}: the method is an object, which has its own learning rate; give it a "
                "schedule there, as lr=gradus.methods.Cosine(..)"
            )
        if self.groups is not None and spec.proximal:
            raise InputError(
                "--proximal: parameters and decay move groups by an optimizer, which takes no "
                "proximal step; leave them out, or the proximal step"
            )
        if self.method is not None and spec.proximal and not hasattr(self.method, "update"):
            raise InputError(
                "--proximal: needs the equation of a method, which an optimizer does not give; "
                "take a name, or an object of gradus.methods"
            )
        if is_own(spec.method) and self.method is None:
            raise InputError(
                f"--method {spec.method}: is code of your own, which is for one run by itself; "
                "give the name of a method"
            )
        if self.is_module and spec.models > 1:
            raise InputError(
                f"--models {spec.models}: nets that differ in their seed are made by a function; "
                "give one in place of the module"
            )

    def named_by(self, spec: RunSpec) -> Objects:
        """The same, with the method that the spec names where that is code of the user's.

        Raises:
            InputError: it cannot be had.
        """
        if not is_own(spec.method) or self.method is not None:
            return self
        from gradus.runs.objects.named_methods import named_method

        return replace(self, method=named_method(spec.method, spec.method_options or ()))

    def check_same(self, spec: RunSpec, folder: Path, *, whole: bool = True) -> None:
        """Refuse other objects than a run was begun with.

        Args:
            spec: of the run.
            folder: of it.
            whole: whether it is trained on, for which none may be missing.

        Raises:
            InputError: one is another, or is missing.
        """
        for name in PARTS:
            written, given = getattr(spec, name), self.identities.get(name)
            if given is None and not whole:
                continue
            if whole and name == "sampling" and is_object(written):
                raise InputError(
                    f"{folder}: its examples came in the order of {shown(written)}, which cannot "
                    "be taken up where it was; train it again"
                )
            if given is None:
                if is_object(written) and name == "schedule":
                    raise InputError(
                        f"{folder}: its learning rate was moved by {shown(written)}, whose state "
                        "no record holds; train it again"
                    )
                if is_object(written):
                    raise InputError(
                        f"{folder}: its {name}, {shown(written)}, was an object in Python, which "
                        f"no record holds; give it again: gradus.resume({str(folder)!r}, {name}=..)"
                    )
            elif given.written != written:
                raise InputError(
                    f"{folder}: its {name} was {quoted(shown(written))}, and {given.name} is "
                    "another, or was changed since: its options, its source or what it holds"
                )

        for written in filter(is_object, spec.metrics):
            name = name_of_metric(written)
            identity = self.identities.get(f"metrics {name}")
            if identity is None and not whole:
                continue
            if identity is None:
                raise InputError(
                    f"{folder}: its metric {name} was a function in Python, which no record holds; "
                    f"give it again: gradus.resume({str(folder)!r}, metrics=[..])"
                )
            if identity.written != written:
                raise InputError(
                    f"{folder}: its metric {name} is another, or was changed since: its options or "
                    "its source"
                )

    def load(self, spec: RunSpec, preparation: AnyPreparation | None) -> Split:
        """The split of the data that were handed over, prepared so where that is given."""
        import torch

        assert self.data is not None
        with torch.random.fork_rng():
            return self.data.load(spec, self._reading(spec), preparation)

    def _reading(self, spec: RunSpec) -> ReadAs | None:
        own_loss = self.loss is not None
        if self.model is None and not own_loss:
            return None

        from gradus.data.arrays import ReadAs
        from gradus.risk.losses.own import takes_one_logit
        from gradus.runs.objects.targets import outputs_of, own_targets, takes_integers

        def targets(x: NDArray[Any], y: NDArray[Any]) -> Targets | None:
            outputs = None
            if self.is_module and self.model is not None:
                outputs = outputs_of(partial(self.model, x.shape[1:], 0), x)
            name = None if is_object(spec.loss) else spec.loss
            return own_targets(
                y,
                name,
                own_loss=own_loss,
                outputs=outputs,
                one_logit=self.loss is not None and takes_one_logit(self.loss),
            )

        def integers(x: NDArray[Any]) -> bool:
            # How many outputs there are does not matter for what it takes.
            return self.model is not None and takes_integers(partial(self.model, x.shape[1:], 1), x)

        return ReadAs(targets, integers)

    def method_for(self, method: Method, model: nn.Module) -> Method:
        """The method of a job, with the groups of its model."""
        return method if self.groups is None else self.groups.of(method, model)

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says of them."""
        return {name: identity.record() for name, identity in self.identities.items()}


NO_OBJECTS = Objects()
