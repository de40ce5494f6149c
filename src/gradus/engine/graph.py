"""What a module of the user's own computes, as calls of layers of torch.nn.

Its ``forward`` is run once in each mode with a symbol in place of the examples (``torch.fx``),
which writes down what is called. That says what every call does only where ``forward`` does the
same every time: one that branches on values cannot be read, and one that draws random numbers,
changes its module, or calls layers without gradients or with autocast is refused. Reading changes
nothing.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (as everybody calls it)
from torch import Tensor, fx, nn

from gradus.optim.rules import Obstacle


class Call(NamedTuple):
    """A layer that is called."""

    name: str
    """In its model."""
    layer: nn.Module
    reads: tuple[int, ...]
    """What it is called with: 0 is the input of all, i + 1 what call i gives."""


class Calls(NamedTuple):
    """What a module calls, and which of it it gives."""

    calls: list[Call]
    gives: int


class Sum(nn.Module):
    """The sum of two tensors, as a layer."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Of one shape."""
        return a + b


ACTIVATIONS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "relu": (nn.ReLU, ("inplace",)),
    "relu6": (nn.ReLU6, ("inplace",)),
    "leaky_relu": (nn.LeakyReLU, ("negative_slope", "inplace")),
    "elu": (nn.ELU, ("alpha", "inplace")),
    "celu": (nn.CELU, ("alpha", "inplace")),
    "selu": (nn.SELU, ("inplace",)),
    "gelu": (nn.GELU, ("approximate",)),
    "silu": (nn.SiLU, ("inplace",)),
    "mish": (nn.Mish, ("inplace",)),
    "sigmoid": (nn.Sigmoid, ()),
    "logsigmoid": (nn.LogSigmoid, ()),
    "tanh": (nn.Tanh, ()),
    "tanhshrink": (nn.Tanhshrink, ()),
    "softplus": (nn.Softplus, ("beta", "threshold")),
    "softsign": (nn.Softsign, ()),
    "softshrink": (nn.Softshrink, ("lambd",)),
    "hardshrink": (nn.Hardshrink, ("lambd",)),
    "hardtanh": (nn.Hardtanh, ("min_val", "max_val", "inplace")),
    "hardsigmoid": (nn.Hardsigmoid, ("inplace",)),
    "hardswish": (nn.Hardswish, ("inplace",)),
    "threshold": (nn.Threshold, ("threshold", "value", "inplace")),
}
"""By the names of functions and methods: the layer, and what it is called with, in order."""


def _named(name: str) -> list[Any]:
    """The functions of this name in torch and torch.nn.functional, and those in place."""
    places = [(space, each) for space in (torch, F) for each in (name, f"{name}_")]
    return [getattr(space, each) for space, each in places if hasattr(space, each)]


def _called(name: str) -> set[Any]:
    """What a call of it may have as its target: functions, or the name of a method."""
    return {*_named(name), name, f"{name}_"}


CALLS: dict[Any, tuple[type[nn.Module], tuple[str, ...]]] = {
    **{target: found for name, found in ACTIVATIONS.items() for target in _called(name)},
    **dict.fromkeys(_called("flatten"), (nn.Flatten, ("start_dim", "end_dim"))),
    **dict.fromkeys(_called("log_softmax"), (nn.LogSoftmax, ("dim",))),
    "contiguous": (nn.Identity, ()),
}
DEFAULTS: dict[type[nn.Module], dict[str, Any]] = {nn.Flatten: {"start_dim": 0, "end_dim": -1}}
"""Where a function begins with other numbers than the layer."""
RESHAPES = {*_called("view"), *_called("reshape")}
LINEAR = {F.linear}
PRELU = _called("prelu")
SUMS = {operator.add, operator.iadd, *_called("add")}
DROPOUT = {F.dropout}


_ALONE = RLock()
"""Held while a module is read, which puts torch's way to call modules aside for all threads."""


def is_own(module: nn.Module) -> bool:
    """Whether a module is of a class that is not torch's."""
    return type(module).__module__.partition(".")[0] != "torch"


def calls_of(module: nn.Module, told: str, name: str = "") -> Calls:
    """The layers that a module of the user's own calls.

    Args:
        module: what is read.
        told: what it is called in messages.
        name: where it stands in its model.

    Raises:
        Obstacle: it does something else too, or cannot be read; it says why.
    """
    if type(module).__call__ is not nn.Module.__call__:
        raise Obstacle(f"{told}, which has a __call__ of its own")
    graphs = []
    for training in (True, False):
        with _ALONE, _left_as_it_was(module, told):
            for each in module.modules():
                each.training = training
            tracer = _Tracer()
            try:
                graphs.append(tracer.trace(module))
            except (Exception, SystemExit) as error:  # whatever code does that gets a symbol
                first, *_ = str(error).strip().splitlines() or [type(error).__name__]
                raise Obstacle(f"{told}, whose forward cannot be read ({first})") from None
        if tracer.turns is not None:
            raise Obstacle(f"{told}, whose forward turns {tracer.turns}")
    found = _Reading(module, told, name).read(graphs[0])
    if _form(graphs[0], True) != _form(graphs[1], False):
        raise Obstacle(f"{told}, whose forward does something else in eval mode")
    return found


def computes(module: nn.Module, calls: Calls, width: int) -> bool:
    """Whether a module has the outputs and gradients of the layers that it calls, in eval mode.

    A graph does not say so: a function of the user's may have a gradient of its own
    (``torch.autograd.Function``), and what is changed in place may be read elsewhere.

    Args:
        module: that calls the layers.
        calls: of the same parameters.
        width: of its inputs.
    """
    moving = [p for p in module.parameters() if p.requires_grad]
    x = torch.randn(4, width, generator=torch.Generator().manual_seed(0)).to(moving[0])

    def replayed(x: Tensor) -> Tensor:
        values = [x]
        for call in calls.calls:
            values.append(call.layer(*(values[number].clone() for number in call.reads)))
        return values[calls.gives]

    found = []
    with torch.enable_grad(), in_eval_mode(module, *(call.layer for call in calls.calls)):
        for each in (module, replayed):
            output = each(x)
            if not output.requires_grad:
                return False
            slopes = torch.autograd.grad(output.square().sum(), moving, materialize_grads=True)
            found.append((output.detach(), *slopes))
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-6, equal_nan=True)
        for a, b in zip(*found, strict=True)
    )


@contextmanager
def in_eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Within, modules are in eval mode; every part of them is put back into its own."""
    modes = [(each, each.training) for module in modules for each in module.modules()]
    for each, _ in modes:
        each.training = False
    try:
        yield
    finally:
        for each, training in modes:
            each.training = training


class _Tracer(fx.Tracer):
    """Writes down the calls, and what they are made under, which no graph says.

    Attributes:
        turns: what of PyTorch is turned on or off around a call; None: nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turns: str | None = None
        self._around, self._thread = _around(), get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """A module is called: in another thread, while this one reads, as always."""
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        """An attribute of a module, likewise."""
        if get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A call."""
        for name, value in _around().items():
            if value != self._around[name]:
                self.turns = f"{name} {'on' if value else 'off'}"
        return super().create_node(*args, **kwargs)


def _around() -> dict[str, bool]:
    """What of PyTorch changes what a call does."""
    return {
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }


def _form(graph: fx.Graph, training: bool) -> list[str]:
    """What is called; dropout as it is by the mode of its module."""
    form = []
    for n in graph.nodes:
        kwargs = dict(n.kwargs)
        if n.target in DROPOUT and kwargs.get("training") is training:
            del kwargs["training"]
        form.append(f"{n.op} {n.target} {n.args} {kwargs}")
    return form


@contextmanager
def _left_as_it_was(module: nn.Module, told: str) -> Iterator[None]:
    """Refuse a forward that has changed its module or drawn random numbers, and undo it.

    Raises:
        Obstacle: it has done so.
    """
    attributes = [(each, dict(vars(each))) for each in module.modules()]
    containers = [
        (name, value, value.copy(), _contents(value))
        for _, values in attributes
        for name, value in values.items()
        if isinstance(value, list | dict | set)
    ]
    buffers = [
        (name, value, value._version, value.detach().clone())
        for name, value in module.named_buffers()
    ]
    drawn = random.getstate(), torch.get_rng_state(), _numbers_of_numpy()
    try:
        yield
    finally:
        has_drawn = (
            random.getstate() != drawn[0]
            or not torch.equal(torch.get_rng_state(), drawn[1])
            or _written_out(_numbers_of_numpy()) != _written_out(drawn[2])
        )
        random.setstate(drawn[0])
        torch.set_rng_state(drawn[1])
        np.random.set_state(drawn[2])  # noqa: NPY002
        changed = {name for name, value, _, before in containers if _contents(value) != before}
        for each, values in attributes:
            now = vars(each)
            changed |= {k for k in now if k not in values or now[k] is not values[k]}
            now.clear()
            now.update(values)
        for _, value, before, _ in containers:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(before)
        for name, buffer, version, written in buffers:
            if buffer._version != version:
                changed.add(name)
                with torch.no_grad():
                    buffer.copy_(written)
    if has_drawn:
        raise Obstacle(f"{told}, whose forward draws random numbers")
    if changed - {"training"}:
        names = ", ".join(sorted(changed - {"training"}))
        raise Obstacle(f"{told}, whose forward changes {names}")


def _numbers_of_numpy() -> dict[str, Any]:
    """The state of NumPy's generator of all, whichever it is."""
    return dict(np.random.get_state(legacy=False))  # noqa: NPY002


def _written_out(state: dict[str, Any]) -> dict[str, Any]:
    """A state in numbers that compare."""
    return {
        key: _written_out(value) if isinstance(value, dict) else np.asarray(value).tolist()
        for key, value in state.items()
    }


def _contents(container: Collection[Any]) -> list[Any]:
    """What tells whether a container holds what it held."""
    if isinstance(container, dict):
        return [(key, id(value)) for key, value in container.items()]
    return list(map(id, container))


class _Reading:
    """Reads one graph, of a module in training mode."""

    def __init__(self, module: nn.Module, told: str, name: str) -> None:
        self.module, self.told, self.name = module, told, name
        self.counts: set[fx.Node] = set()
        """What stands for the number of examples."""
        self.shapes: set[fx.Node] = set()
        self.width: int | None = None
        """What the next linear layer has to take, after a reshape."""

    def read(self, graph: fx.Graph) -> Calls:
        """The layers in the order of the calls."""
        nodes = list(graph.nodes)
        if [node.op for node in nodes].count("placeholder") != 1:
            raise Obstacle(f"{self.told}, whose forward takes more than one argument")
        numbers, calls = {nodes[0]: 0}, list[Call]()
        for node in nodes[1:]:
            if node.op == "get_attr" or self._tells_a_shape(node):
                continue
            if node.op == "output":
                break
            tensors = [each for each in node.all_input_nodes if each not in self.counts]
            parameters = [each for each in tensors if each.op == "get_attr"]
            read = [each for each in tensors if each not in parameters]
            is_sum = node.target in SUMS and len(read) == 2 and tuple(read) == node.args
            if any(each not in numbers for each in read) or len(read) != 1 + is_sum:
                raise Obstacle(f"{self.told}, whose forward is no chain of layers ({node.name})")
            layer = Sum() if is_sum and not node.kwargs else self._layer(node, parameters)
            own = f"{self.name}.{node.target}" if self.name else str(node.target)
            name = own if node.op == "call_module" else f"{self.name or node.name}"
            calls.append(Call(name, layer, tuple(numbers[each] for each in read)))
            numbers[node] = len(calls)
        if self.width is not None:
            raise self._of_other_width()
        given = nodes[-1].args[0]
        if not isinstance(given, fx.Node) or given not in numbers:
            raise Obstacle(f"{self.told}, whose forward gives something else than one tensor")
        return Calls(calls, numbers[given])

    def _tells_a_shape(self, node: fx.Node) -> bool:
        """Note what only asks how many examples there are, or of what shape they are."""
        arguments = node.args[1:]
        if any(each.op == "get_attr" for each in node.all_input_nodes):  # of a parameter
            return False
        if node.target == "size" and node.op == "call_method":
            (self.counts if arguments == (0,) else self.shapes).add(node)
        elif node.target is getattr and arguments == ("shape",):
            self.shapes.add(node)
        elif node.target is operator.getitem and node.args[0] in self.shapes and arguments == (0,):
            self.counts.add(node)
        else:
            return False
        return True

    def _layer(self, node: fx.Node, parameters: list[fx.Node]) -> nn.Module:
        if node.op == "call_module":
            layer = self.module.get_submodule(str(node.target))
            self._fits(layer)
            return layer
        if node.target in LINEAR:
            return self._linear(node, parameters)
        if node.target in PRELU:
            return self._prelu(node, parameters)
        if node.target in RESHAPES:
            return self._flatten(node)
        if node.target in DROPOUT:
            return self._dropout(node)
        made = CALLS.get(node.target)
        name = getattr(node.target, "__name__", str(node.target))
        if made is None or parameters:
            raise Obstacle(f"{self.told}, whose forward calls {name}")
        kind, names = made
        given = DEFAULTS.get(kind, {}) | dict(zip(names, node.args[1:], strict=False))
        given |= {k: v for k, v in node.kwargs.items() if k != "_stacklevel"}
        given = {key: value for key, value in given.items() if value is not None}
        known = {*names, "inplace"}
        is_known = given.keys() <= known and len(node.args) <= len(names) + 1
        if not is_known or any(isinstance(value, fx.Node) for value in given.values()):
            raise Obstacle(f"{self.told}, whose forward calls {name} with other options")
        given.pop("inplace", None)
        return kind(**given)

    def _flatten(self, node: fx.Node) -> nn.Module:
        """A reshape into rows, one for each example."""
        shape = node.args[1] if len(node.args) == 2 else node.args[1:]
        rows, *rest = shape if isinstance(shape, tuple | list) else (shape,)
        counts = rows in self.counts if isinstance(rows, fx.Node) else rows == -1
        if not counts or len(rest) != 1 or (rest[0] == -1 and rows == -1):
            raise Obstacle(f"{self.told}, whose forward calls {node.target} into another shape")
        if not isinstance(rest[0], int):
            raise Obstacle(f"{self.told}, whose forward calls {node.target} into another shape")
        self.width = None if rest[0] == -1 else rest[0]
        return nn.Flatten()

    def _dropout(self, node: fx.Node) -> nn.Dropout:
        given: dict[str, Any] = dict(zip(("p", "training"), node.args[1:], strict=False))
        given = {"p": 0.5, "training": True} | given | node.kwargs
        is_plain = given.keys() == {"p", "training"} or not given.pop("inplace", True)
        if not is_plain or given["training"] is not True or not isinstance(given["p"], int | float):
            raise Obstacle(f"{self.told}, whose forward calls dropout with other options")
        return nn.Dropout(given["p"])

    def _linear(self, node: fx.Node, parameters: list[fx.Node]) -> nn.Linear:
        """The layer whose weight and bias these attributes are."""
        found = self._parameters(node, parameters, "linear")
        layer = nn.Linear(1, 1, bias=found["bias"] is not None, device="meta")
        layer.weight, layer.bias = found["weight"], found["bias"]
        self._fits(layer)
        return layer

    def _prelu(self, node: fx.Node, parameters: list[fx.Node]) -> nn.PReLU:
        """The same."""
        layer = nn.PReLU(device="meta")
        layer.weight = self._parameters(node, parameters, "prelu")["weight"]
        return layer

    def _parameters(self, node: fx.Node, parameters: list[fx.Node], name: str) -> dict[str, Any]:
        """The weight and the bias that a function of this name is called with."""
        given: dict[str, Any] = dict(zip(("weight", "bias"), node.args[1:], strict=False))
        found: dict[str, Any] = {"weight": None, "bias": None}
        for kind, each in (given | node.kwargs).items():
            if each in parameters:
                owner, _, attribute = str(each.target).rpartition(".")
                found[kind] = getattr(self.module.get_submodule(owner), attribute)
        if any(value is not None and type(value) is not nn.Parameter for value in found.values()):
            raise Obstacle(f"{self.told}, whose forward calls {name} with what is no parameter")
        return found

    def _fits(self, layer: nn.Module) -> None:
        if self.width is not None and isinstance(layer, nn.Linear):
            if layer.weight.shape[-1] != self.width:
                raise self._of_other_width()
            self.width = None

    def _of_other_width(self) -> Obstacle:
        return Obstacle(f"{self.told}, whose forward reshapes into rows of {self.width}")
