"""What a fit leaves: the parameters of dense networks as arrays, and what these give for x.

The C++ kernels compute the outputs, so that predicting imports no PyTorch; where they are absent
PyTorch does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from gradus import kernels

BATCH = 256
"""Examples that go through all layers at once: what they leave in between stays in the cache."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Network:
    r"""$h_w(x) = A_k\,\sigma(\dots \sigma(A_1 x + b_1) \dots) + b_k$.

    Attributes:
        weights: $A_i$, ``[out, in]``.
        biases: $b_i$, ``[out]``.
        activation: the name of $\sigma$.

    Example:
        >>> twice = Network((np.array([[2.0]]),), (np.array([1.0]),), "relu")
        >>> twice.outputs(np.array([[0.0], [3.0]])).tolist()
        [[1.0], [7.0]]
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activation: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters, and of what is computed with them."""
        return self.weights[0].dtype

    @property
    def widths(self) -> list[int]:
        """Of the inputs, and of every layer."""
        return [self.weights[0].shape[1], *map(len, self.weights)]

    @property
    def is_finite(self) -> bool:
        """Whether every parameter is a number."""
        return all(bool(np.isfinite(each).all()) for each in (*self.weights, *self.biases))

    def outputs(self, x: Any, threads: int = 1) -> Array:
        """``[N, m]`` for x ``[N, features]``, which is of the dtype of the parameters.

        x may be a CSR matrix of SciPy.

        They do not depend on the number of threads.
        """
        if issparse(x):
            first: Array = x @ self.weights[0].T
            same = np.eye(len(self.weights[0]), dtype=self.dtype)
            rest = Network((same, *self.weights[1:]), self.biases, self.activation)
            return rest.outputs(first, threads)
        x = np.ascontiguousarray(x)
        if len(self.weights) == 1:
            linear: Array = x @ self.weights[0].T
            linear += self.biases[0]
            return linear
        if kernels.absence():
            return self._by_torch(x)
        core: Any = kernels.core()
        bits = 8 * self.dtype.itemsize
        layers = len(self.weights)
        curves = [self.activation] * (layers - 1) + ["identity"]
        network = getattr(core, f"Network{bits}")(
            kernels.variant(),
            self.widths[0],
            [
                core.Layer("dense", outputs, index, activation=curve)
                for index, (outputs, curve) in enumerate(zip(self.widths[1:], curves, strict=True))
            ],
            False,
            getattr(core, f"Risk{bits}")("mse", "elements"),
            core.Method("descent"),
            core.Penalty(),
            min(BATCH, len(x)),
            threads,
        )
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            network.set(index, weight, bias)
        found = np.zeros((len(x), self.widths[-1]), self.dtype)
        data = getattr(core, f"Data{bits}")(x, numbers=found)
        network.outputs(data, np.arange(len(x)), found)
        return found

    def _by_torch(self, x: Array) -> Array:
        import torch

        from gradus.models.networks import ACTIVATIONS

        with torch.no_grad():
            at = torch.from_numpy(x)
            between = itertools.repeat(ACTIVATIONS[self.activation](), len(self.weights) - 1)
            for weight, bias in zip(self.weights, self.biases, strict=True):
                at = torch.nn.functional.linear(at, *map(torch.from_numpy, (weight, bias)))
                at = next(between, torch.nn.Identity())(at)
            return at.numpy()
