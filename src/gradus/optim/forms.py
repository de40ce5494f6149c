"""The forms of a step: the equation one tensor at a time, on lists in place, fused, and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradus.methods.descent import GradientDescent
from gradus.methods.method import FirstOrder
from gradus.optim.inplace import InPlaceUpdate
from gradus.optim.kernels import KERNELS, Scaling, updated_in_place
from gradus.optim.program import Program, Symbol
from gradus.optim.tensor_lists import TensorLists, as_dtype_of, as_real
from gradus.risk.tensors import Tensors

V = TypeVar("V", Tensor, Tensors, Symbol)


@dataclass(frozen=True, eq=False)
class Equation:
    """The update of a method on named vectors: w, the gradient, and what is kept of the state.

    Attributes:
        method: the method with its hyper-parameters.
        state_class: the state of the method.
        state_fields: its fields that are vectors, in their order.
        negates_gradient: whether to climb, where the method itself only descends.
        at_query: whether the parameters stand at the query and w is kept as the iterate.
        counts_steps: whether the equation uses the number of the step.
        programs: the equation as it was recorded, by the type and the names of the vectors.
    """

    method: FirstOrder
    state_class: type[Any]
    state_fields: tuple[str, ...]
    negates_gradient: bool
    at_query: bool
    counts_steps: bool
    programs: dict[tuple[Any, ...], tuple[Program, dict[str, Symbol]]] = field(default_factory=dict)

    def __call__(self, step: Any, given: Mapping[str, V]) -> dict[str, V]:
        """The new w, and the new vectors of the state."""
        g = given["gradient"]
        if self.negates_gradient:
            g = -g
        if self.at_query:
            return self._from_query(step, given, g)
        state = self.state_class(step, *(given.get(name) for name in self.state_fields))
        w, state = self.method.update(given["w"], g, state)
        results = {name: getattr(state, name) for name in self.state_fields}
        results["w"] = w
        return {name: vector for name, vector in results.items() if vector is not None}

    def _from_query(self, step: Any, given: Mapping[str, V], g: V) -> dict[str, V]:
        """Of Nesterov's: a gradient step from the query, where the parameters are, to the next w.

        So it is right also where beta has changed since they were put there.
        """
        descent = GradientDescent(self.method.lr)
        w, _ = descent.update(given["w"], g, descent.State(step))
        query = self.method.query(w, self.state_class(step, given["iterate"]))
        return {"previous": given["iterate"], "iterate": w, "w": query}

    def recorded(self, lists: TensorLists) -> tuple[Program, dict[str, Symbol]]:
        """The equation on symbols; where no number in it depends on the step, recorded once."""
        key = dtype, *names = (lists.vectors["w"][0].dtype, *lists.vectors)
        if key in self.programs:
            return self.programs[key]
        program = Program(names, constant="gradient", dtype=dtype)
        recorded = program, self(lists.step, program.symbols)
        if not self.counts_steps:
            self.programs[key] = recorded
        return recorded


def for_loop(equation: Equation, lists: TensorLists) -> None:
    """The equation as it stands, on one tensor."""
    given = {name: Tensors(tensors) for name, tensors in lists.vectors.items()}
    results = equation(lists.step, given)
    lists.add_zeros(results.keys() - lists.vectors.keys())
    tensors = {name: vector.values[0] for name, vector in results.items()}
    # What is w now may be part of the next state: w is written last.
    for name in sorted(tensors, key="w".__eq__):
        lists.vectors[name][0].copy_(tensors[name])
    lists.count_step()


def foreach(equation: Equation, lists: TensorLists) -> None:
    """The equation, recorded and run in place on many tensors at once."""
    program, results = equation.recorded(lists)
    lists.add_zeros(results.keys() - lists.vectors.keys())
    program.run(results, lists.vectors)
    lists.count_step()


def differentiable(equation: Equation, lists: TensorLists) -> None:
    """One tensor, as automatic differentiation sees it: the old w and state stay unchanged."""
    given = {name: tensor.clone() for name, (tensor,) in lists.vectors.items()}
    results = equation(lists.step, given)
    (p,), (state,) = lists.params, lists.states
    as_real(p).copy_(results.pop("w"))
    for name, tensor in results.items():
        state[lists.keys[name]] = as_dtype_of(p, tensor)
    lists.count_step()


def fused(
    equation: Equation, lists: TensorLists, in_place: InPlaceUpdate | None, scaling: Scaling
) -> None:
    """One pass over memory, by the C++ kernels or by torch's own.

    Args:
        equation: what the kernels compute, for the tensors that they do not take.
        lists: the tensors.
        in_place: the update by the C++ kernels, None where they do not know it.
        scaling: what a GradScaler left on the optimizer.
    """
    method, kernel = equation.method, KERNELS.get(type(equation.method))
    is_scaled = any(value is not None for value in scaling.values())
    if (
        in_place is not None
        and not is_scaled
        and updated_in_place(in_place, method, lists, maximize=equation.negates_gradient)
    ):
        return
    if kernel is None:
        foreach(equation, lists)
        return
    lists.count_step()
    device = lists.params[0].device
    scaling = {name: None if value is None else value.to(device) for name, value in scaling.items()}
    kernel(method, lists, scaling)
    skipped = scaling["found_inf"]
    if skipped is not None and lists.steps:
        torch._foreach_sub_(lists.steps, [skipped] * len(lists.steps))


def on_rows(equation: Equation, lists: TensorLists, gradient: Tensor) -> None:
    """The equation on the entries that a sparse gradient touches."""
    at = tuple(gradient.indices())
    given = {
        name: Tensors([tensor[at]])
        for name, (tensor,) in lists.vectors.items()
        if name != "gradient"
    }
    given["gradient"] = Tensors([as_real(gradient.values().resolve_conj())])
    for name, vector in equation(lists.step, given).items():
        lists.vectors[name][0][at] = vector.values[0]
    lists.count_step()
