r"""Which units dropout drops in training: drawn by counting, in every engine the same.

Whether unit u of example i of a batch is dropped at step t by the k-th dropout of the model is a
function of the seed and of (t, k, i, u), and of nothing drawn before: no run depends on where it
was paused, on threads, or on how often a loss is looked at within a step. Four units share four
numbers of 32 bits of Philox 4x32-10; a unit stays where its own is at least $2^{32} p$, and is then
divided by 1 - p.

On devices other than the CPU PyTorch draws.

Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), "Dropout"; Salmon, Moraes,
    Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gradus import kernels
from gradus.engine.graph import is_own
from gradus.engine.layers import network_of
from gradus.optim.rules import Obstacle

MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
WEYL = (0x9E3779B9, 0xBB67AE85)
WORDS, ROUNDS, LOW = 4, 10, np.uint64(0xFFFFFFFF)


def key_of(seed: int) -> int:
    """What the draws of a run follow from, 64 bits."""
    return int(np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(1, np.uint64)[0])


def philox(key: int, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Four numbers of 32 bits of each counter of as many, ``[4, n]``."""
    a, b, c, d = counters
    low, high = key & int(LOW), key >> 32
    for _ in range(ROUNDS):
        first, second = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b = (second >> np.uint64(32)) ^ b ^ np.uint64(low), second & LOW
        c, d = (first >> np.uint64(32)) ^ d ^ np.uint64(high), first & LOW
        low, high = (low + WEYL[0]) & int(LOW), (high + WEYL[1]) & int(LOW)
    return np.stack([a, b, c, d])


def scales(
    key: int, step: int, layer: int, share: float, row: int, to: NDArray[np.floating[Any]]
) -> None:
    """What the units of examples from ``row`` on are multiplied by, into ``to [examples, units]``.

    Args:
        key: of the run.
        step: counted from 0.
        layer: among those that drop.
        share: p, of the units that are dropped.
        row: the first example's place in the batch.
        to: float32 or float64.
    """
    if not kernels.absence():
        core: Any = kernels.core()
        core.scales(kernels.variant(), key, step, layer, share, row, to)
        return
    rows, units = to.shape
    fours = -(-units // WORDS)
    counters = np.empty((WORDS, rows, fours), np.uint64)
    counters[0] = np.arange(fours)
    counters[1] = np.arange(row, row + rows)[:, None]
    counters[2], counters[3] = step, layer
    words = philox(key, counters.reshape(WORDS, -1)).reshape(WORDS, rows, fours)
    kept = words.transpose(1, 2, 0).reshape(rows, -1)[:, :units] >= min(
        int(share * 2**32), 2**32 - 1
    )
    np.multiply(kept, 1 / (1 - share) if share < 1 else 0.0, out=to)


class Dropping:
    """Draws for a model by counting, within its evaluations.

    Args:
        model: whose dropouts are counted, from its first on at every call of it.
        seed: of the run.
        functions: whether ``torch.nn.functional.dropout`` is called by others than ``nn.Dropout``:
            then every function of torch is looked at, which takes its time.
    """

    def __init__(self, model: nn.Module, seed: int, *, functions: bool = False) -> None:
        self.model, self.key = model, key_of(seed)
        self.functions = _Functions(self) if functions else None
        self.layers = () if functions else tuple(_layers(model))
        self._step = self._row = self._rows = self._layer = 0

    @contextmanager
    def of(self, step: int, *, in_chunks: bool, row: int = 0) -> Iterator[None]:
        """An evaluation within this step, of a batch that comes in one piece or in several.

        Its first example is that of this row of the batch: others have those before.
        """
        self._step, self._row, self._rows, self._layer = step, row, row, 0
        with ExitStack() as stack:
            if in_chunks:
                stack.callback(self.model.register_forward_pre_hook(self._called).remove)
            if self.functions is not None:
                stack.enter_context(self.functions)
            stack.callback(self._leave)
            for layer in self.layers:
                vars(layer)["forward"] = partial(self._forward, layer)
            yield

    def dropped(self, x: Tensor, p: float) -> Tensor:
        """What the next dropout makes of x."""
        layer, self._layer = self._layer, self._layer + 1
        if x.device.type != "cpu" or x.dim() == 0:
            return F.dropout(x, p)
        wide = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
        drawn = torch.empty(len(x), math.prod(x.shape[1:]), dtype=wide)
        scales(self.key, self._step, layer, p, self._row, drawn.numpy())
        return x * drawn.view(x.shape).to(x.dtype)

    def _forward(self, layer: nn.Dropout, x: Tensor) -> Tensor:
        return self.dropped(x, layer.p) if layer.training else x

    def _called(self, model: nn.Module, given: tuple[Any, ...]) -> None:
        """The next examples of the batch come."""
        self._row, self._layer = self._rows, 0
        self._rows += len(given[0])

    def _leave(self) -> None:
        for layer in self.layers:
            vars(layer).pop("forward", None)


class _Functions(TorchFunctionMode):
    """Within, the function draws by counting."""

    def __init__(self, dropping: Dropping) -> None:
        super().__init__()
        self.dropping = dropping

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Draw in place of torch, or let it go on."""
        kwargs = kwargs or {}
        if func is F.dropout and kwargs["training"] and 0 <= kwargs["p"] <= 1:
            return self.dropping.dropped(args[0], kwargs["p"])
        return func(*args, **kwargs)


def _layers(model: nn.Module) -> Iterator[nn.Dropout]:
    for each in model.modules():
        if type(each) is nn.Dropout and "forward" not in vars(each):
            yield each


def dropping(model: nn.Module, seed: int) -> Dropping | None:
    """What draws for a model; None where it drops nothing that is known.

    Known is every ``nn.Dropout``, and the function in modules that can be read.
    """
    own = set(map(id, _layers(model)))
    if any(map(is_own, model.modules())):
        try:
            network = network_of(model)
            if any(id(each.module) not in own for each in network.layers if each.kind == "drop"):
                return Dropping(model, seed, functions=True)
        except Obstacle:
            pass
    return Dropping(model, seed) if own else None
