"""Which layers a network is made of: what each reads, does and remembers.

Anything else is refused with what stands in the way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from gradus.engine.activations import IDENTITY, Activation, activation_of
from gradus.engine.graph import Call, Calls, Sum, calls_of, computes, is_own
from gradus.optim.rules import Obstacle

Kind = Literal["dense", "sum", "drop", "prelu", "layer-norm", "batch-norm"]

WITH_PARAMETERS = (nn.Linear, nn.PReLU, nn.LayerNorm, nn.BatchNorm1d)
KNOWN = (*WITH_PARAMETERS, nn.Dropout, Sum, nn.Flatten, nn.LogSoftmax)
"""Beside activations; what derives from one may compute something else."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer and what follows it.

    Attributes:
        kind: what it does; a sum may be of one alone, which leaves its activation.
        outputs: how many numbers it gives.
        reads: the layer that it reads, counted from 1; 0 is the inputs.
        also: the second of a sum; -1 where there is none.
        activation: of every number that it gives.
        module: that holds its parameters, whether or not it is a layer of the model.
        told: what it is called in messages.
    """

    kind: Kind
    outputs: int
    reads: int
    told: str
    module: nn.Module
    also: int = -1
    activation: Activation = IDENTITY

    @property
    def parameters(self) -> tuple[Tensor | None, Tensor | None]:
        """Weight and bias, as far as there are such."""
        if not isinstance(self.module, WITH_PARAMETERS):
            return None, None
        return getattr(self.module, "weight", None), getattr(self.module, "bias", None)

    @property
    def options(self) -> dict[str, Any]:
        """The numbers of its kind, as keywords of the kernels' layer."""
        module = self.module
        if isinstance(module, nn.Dropout):
            return {"share": float(module.p)}
        if isinstance(module, nn.PReLU):
            return {"shares_weight": module.weight.numel() < self.outputs}
        if isinstance(module, nn.LayerNorm):
            return {"eps": module.eps}
        if isinstance(module, nn.BatchNorm1d):
            fresh = -1.0 if module.momentum is None else float(module.momentum)
            return {"eps": module.eps, "fresh": fresh}
        return {}


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in the order in which they are computed; what the last leaves is what it gives."""

    inputs: int
    layers: tuple[Layer, ...]
    log_softmax: bool = False
    flattens: bool = False

    @property
    def widths(self) -> list[int]:
        """Of the inputs, and of every layer."""
        return [self.inputs, *(layer.outputs for layer in self.layers)]

    @property
    def activations(self) -> tuple[Activation, ...]:
        """What follows every layer."""
        return tuple(layer.activation for layer in self.layers)

    @property
    def is_plain(self) -> bool:
        """Whether it is a stack of linear layers."""
        return all(layer.kind == "dense" for layer in self.layers)

    @property
    def linears(self) -> tuple[nn.Linear, ...]:
        """The layers of a plain stack."""
        return tuple(layer.module for layer in self.layers if isinstance(layer.module, nn.Linear))

    def is_in_order_of(self, model: nn.Module) -> bool:
        """Whether its parameters are those of the model, in their order."""
        own = [p for layer in self.layers for p in layer.parameters if p is not None]
        return list(map(id, own)) == list(map(id, model.parameters()))

    def is_all_of(self, model: nn.Module) -> bool:
        """Whether they are, and all of them move."""
        return self.is_in_order_of(model) and all(p.requires_grad for p in model.parameters())


def network_of(model: nn.Module) -> Network:
    """The network of known layers that a model is.

    Raises:
        Obstacle: it is none; the first layer that says so is named.
    """
    for name, each in model.named_modules():
        if own := _own_mode(each):
            raise Obstacle(f"{_told(name, each)}, which has its own {own}()")
    calls: list[Call] = []
    gives = _read(model, "", 0, calls)
    read = Calls(calls, gives)
    network = _Building(read).network()
    parameters = [p for layer in network.layers for p in layer.parameters if p is not None]
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise Obstacle("layers that share their parameters")
    known = {id(parameter) for parameter in parameters}
    for name, parameter in model.named_parameters():
        if id(parameter) not in known:
            raise Obstacle(f"the parameter {name}: it is of no layer that is called")
    if not any(parameter.requires_grad for parameter in parameters):
        raise Obstacle("layers that are all frozen")
    if any(map(is_own, model.modules())) and not computes(model, read, network.inputs):
        raise Obstacle(f"{type(model).__name__}, which has gradients of its own")
    return network


def _read(model: nn.Module, name: str, at: int, calls: list[Call]) -> int:
    """Add what nested Sequentials and modules of one's own call; which of it they give."""
    if is_own(model):
        for inner, each in model.named_modules():
            if is_changed(each):
                place = ".".join(filter(None, (name, inner)))
                raise Obstacle(f"hooks (on {place or type(model).__name__})")
        found = calls_of(model, _told(name, model), name)
        numbers: list[int] = [at, *range(len(calls) + 1, len(calls) + len(found.calls) + 1)]
        for call in found.calls:
            calls.append(call._replace(reads=tuple(numbers[each] for each in call.reads)))
        return numbers[found.gives]
    if is_changed(model):
        raise Obstacle(f"hooks (on {name or type(model).__name__})")
    if type(model) is not nn.Sequential:
        calls.append(Call(name, model, (at,)))
        return len(calls)
    for inner, layer in model._modules.items():  # named_children tells a layer only once
        assert layer is not None
        at = _read(layer, f"{name}.{inner}" if name else inner, at, calls)
    return at


class _Building:
    """Makes layers of calls."""

    def __init__(self, read: Calls) -> None:
        self.calls, self.gives = read
        self.layers: list[Layer] = []
        self.made_by = [0]
        """The layer that makes what each call gives, counted from 1; 0 is the inputs."""
        self.log_softmax = self.flattens = False
        # What passes its input on is read where that is.
        self.root = list(range(len(self.calls) + 1))
        for number, call in enumerate(self.calls, start=1):
            if type(call.layer) in (nn.Identity, nn.Flatten):
                self.root[number] = self.root[call.reads[0]]
        self.readers = Counter(
            self.root[each]
            for call in self.calls
            if type(call.layer) not in (nn.Identity, nn.Flatten)
            for each in call.reads
        )
        self.readers[self.root[self.gives]] += 1
        self.inputs = self._inputs()

    def network(self) -> Network:
        for call in self.calls:
            told = _told(call.name, call.layer)
            is_shared = self.readers[self.root[call.reads[0]]] > 1
            if getattr(call.layer, "inplace", False) and is_shared:
                raise Obstacle(f"{told}, which changes what others read")
            if self.log_softmax and type(call.layer) is not nn.Identity:
                raise Obstacle(f"{told} after a LogSoftmax")
            self.made_by.append(self._add(call, told))
        if self.log_softmax and self.root[self.gives] != self.root[-1]:
            raise Obstacle(f"{told}, whose output is not used")
        for at, layer in enumerate(self.layers, start=1):
            is_last = at == len(self.layers)
            if (self.made_by[self.gives] == at) != is_last or not (is_last or self._is_read(at)):
                raise Obstacle(f"{layer.told}, whose output is not used")
        return Network(self.inputs, tuple(self.layers), self.log_softmax, self.flattens)

    def _inputs(self) -> int:
        """What the first layer that has a width takes: those before it keep it as it is."""
        for call in self.calls:
            match call.layer:
                case nn.Linear():
                    return int(call.layer.weight.shape[-1])
                case nn.PReLU() if call.layer.weight.numel() > 1:
                    return call.layer.weight.numel()
                case nn.LayerNorm():
                    return int(call.layer.normalized_shape[-1])
                case nn.BatchNorm1d():
                    return int(call.layer.num_features)
        for call in self.calls:
            self._known(call, _told(call.name, call.layer))
        raise Obstacle("a model without a Linear layer")

    def _is_read(self, at: int) -> bool:
        return any(at in (layer.reads, layer.also) for layer in self.layers)

    def _known(self, call: Call, told: str) -> Activation | None:
        """The activation that a layer is, where it is no other that is known."""
        activation = activation_of(call.layer)
        if activation is None and type(call.layer) not in KNOWN:
            raise Obstacle(told)
        return activation

    def _add(self, call: Call, told: str) -> int:
        """The layer that makes what a call gives."""
        layer, read = call.layer, [self.made_by[each] for each in call.reads]
        activation, at, width = self._known(call, told), read[0], self._width(read[0])
        if activation == IDENTITY:
            return at
        if activation is not None:
            return self._activate(activation, call, told)
        match layer:
            case nn.Flatten():
                if at != 0 or (layer.start_dim, layer.end_dim) != (1, -1):
                    raise Obstacle(f"{told}: Flatten is taken first, from dimension 1 on")
                self.flattens = True
                return at
            case nn.LogSoftmax():
                if layer.dim not in (1, -1) or at == 0:
                    raise Obstacle(told)
                if self.layers[at - 1].activation != IDENTITY:
                    raise Obstacle(f"{told} right after another activation")
                self.log_softmax = True
                return at
            case Sum():
                if read[0] == read[1]:
                    raise Obstacle(f"{told} of a tensor and itself")
                if self._width(read[1]) != width:
                    raise Obstacle(f"{told} of {width} numbers and {self._width(read[1])}")
                return self._put(Layer("sum", width, at, told, layer, also=read[1]))
            case nn.Dropout():
                return self._put(Layer("drop", width, at, told, layer))
        if any(layer is other.module for other in self.layers):
            raise Obstacle(f"{told}, which stands in the model twice")
        return self._put(self._with_parameters(layer, width, at, told))

    def _with_parameters(self, layer: nn.Module, width: int, at: int, told: str) -> Layer:
        kind: Kind
        if isinstance(layer, nn.Linear):
            _require_plain(layer, told)
            if 0 in layer.weight.shape:
                raise Obstacle(f"{told} of width 0")
            kind, outputs, taken = "dense", *layer.weight.shape
        elif isinstance(layer, nn.PReLU):
            slopes = layer.weight.numel()
            kind, outputs, taken = "prelu", width, width if slopes == 1 else slopes
            _require_plain(layer, told, (slopes,))
        elif isinstance(layer, nn.LayerNorm):
            if len(layer.normalized_shape) != 1:
                raise Obstacle(f"{told} over more than one dimension")
            kind, (taken,) = "layer-norm", layer.normalized_shape
            outputs = taken
        else:
            assert isinstance(layer, nn.BatchNorm1d)
            if not layer.track_running_stats or layer.running_mean is None:
                raise Obstacle(f"{told} without running statistics")
            kind, outputs, taken = "batch-norm", layer.num_features, layer.num_features
        if isinstance(layer, nn.LayerNorm | nn.BatchNorm1d):
            _require_plain(layer, told, (outputs,))
        if taken != width:
            raise Obstacle(f"{width} outputs where {taken} are taken")
        return Layer(kind, int(outputs), at, told, layer)

    def _activate(self, activation: Activation, call: Call, told: str) -> int:
        """What follows the layer before, where nothing else reads that; or a layer of its own."""
        at = self.made_by[call.reads[0]]
        alone = at > 0 and self.readers[self.root[call.reads[0]]] == 1
        if alone and self.layers[at - 1].activation == IDENTITY:
            self.layers[at - 1] = replace(self.layers[at - 1], activation=activation)
            return at
        width = self._width(at)
        return self._put(Layer("sum", width, at, told, call.layer, activation=activation))

    def _width(self, at: int) -> int:
        return self.inputs if at == 0 else self.layers[at - 1].outputs

    def _put(self, layer: Layer) -> int:
        self.layers.append(layer)
        return len(self.layers)


def _told(name: str, layer: nn.Module) -> str:
    return f"layer {name} ({type(layer).__name__})" if name else type(layer).__name__


def is_changed(module: nn.Module) -> bool:
    """Whether calling it does something that its type does not say."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    changed = any(hooks) or bool(module._backward_pre_hooks) or "forward" in vars(module)
    return changed or _has_any_global_hook()


def _own_mode(module: nn.Module) -> str | None:
    """By which method of its own a module may leave layers in another mode, as norms frozen do."""
    for name in ("train", "eval"):
        if name in vars(module) or getattr(type(module), name) is not getattr(nn.Module, name):
            return name
    return None


def _require_plain(layer: nn.Module, told: str, shape: tuple[int, ...] | None = None) -> None:
    """Refuse a layer with parameters that are not those of its class as it is made."""
    for kind in ("weight", "bias"):
        parameter = getattr(layer, kind, None)
        if parameter is None and (kind == "bias" or shape is not None):
            continue
        if type(parameter) is not nn.Parameter:
            raise Obstacle(f"{told} with a {kind} that is a {type(parameter).__name__}")
    weight, bias = (getattr(layer, kind, None) for kind in ("weight", "bias"))
    if shape is None:
        assert weight is not None  # said above
        is_usual = weight.ndim == 2 and (bias is None or bias.shape == weight.shape[:1])
    else:
        is_usual = all(each is None or each.shape == shape for each in (weight, bias))
    if not is_usual:
        raise Obstacle(f"{told} with parameters of unusual shapes")
