"""What is minimised: the empirical risk f(w) of a model on data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gradus.errors import quoted
from gradus.risk.chunks import Mass, averaged, reduced, share, summed
from gradus.risk.curvature.chunk import of_chunk
from gradus.risk.curvature.functions import Matrix, require_matrix
from gradus.risk.curvature.matrix import LIMIT, Curvature, Summand, split_parameters
from gradus.risk.curvature.products import (
    built_of_torch,
    hessian_product,
    twice_differentiable,
)
from gradus.risk.examples import (
    Batch,
    Examples,
    examples_of,
    given_examples,
    in_chunks,
    mean_weight_of,
    weights_of,
)
from gradus.risk.losses import weighted
from gradus.risk.penalties import Penalty
from gradus.risk.precision import is_narrow, narrow, wide
from gradus.risk.substitution import substituted
from gradus.risk.tensors import Tensors
from gradus.risk.together import Together, added, cut

Point = TypeVar("Point", Tensor, Tensors)


class EmpiricalRisk:
    r"""The mean loss of a model over data, as a function of all its parameters w.

    $$f(w) = R(h_w) + \lambda\,\Omega(w), \qquad
      R(h_w) = \frac{1}{N} \sum_{i=1}^{N} L(h_w(x_i), y_i)$$

    w is one flat vector ``[d]`` over the parameters of the model, in the order of
    ``model.parameters()`` (parameters with ``requires_grad=False`` are constants of the model and
    not part of w), or the same parameters as :class:`~gradus.risk.tensors.Tensors`.
    Evaluating the risk changes nothing of the model, whatever its submodules share, also where it
    raises an error: parameters, their ``grad`` and buffers are the objects that they were, with
    their values. The model is evaluated in the mode (``train`` or ``eval``) that it is in.

    A model may use ``torch.utils.checkpoint`` with ``use_reentrant=False``, which evaluates parts
    of it again as they are differentiated: every gradient, product and matrix from here is right.
    But what is differentiated only later, by ``backward()`` of a value, a gradient or a product at
    a w that requires gradients, takes the model's own parameters there, and is wrong at any other
    w. With ``use_reentrant=True`` every derivative is wrong, as ``torch.autograd.grad`` then leaves
    the parameters within the checkpoint out.

    A ``batch`` is a 1-d tensor of indices into the data, a slice of it, or a pair ``(x, y)`` of
    tensors; with no batch the risk is that of the whole data, computed in chunks and exact: each
    chunk counts with what the loss divides its mean by (the sum of the class weights used, where
    there are such), and any callable that is not a :class:`~gradus.risk.losses.Loss` with its
    number of examples. A layer that looks across the batch, such as batch normalisation in train
    mode, sees one chunk at a time. A loss whose ``reduction`` is ``"sum"`` is added up, not
    averaged. Data that have ``weights [N]`` count each example by its own, as if it stood there so
    many times; a batch of B is divided by B times their mean (and where classes count apart, by
    what its own examples count).

    Args:
        model: any module that maps ``x [B, ...]`` to an output that the loss takes.
        loss: a loss of this package, of ``torch.nn``, or any callable ``(output, y) -> scalar``.
        data: a :class:`~gradus.data.dataset.Dataset`; a pair ``(x, y)``, or a dict of both, of
            tensors, arrays or frames of numbers, of which x may be sparse, of PyTorch or SciPy; or
            a dataset or a loader of PyTorch whose examples are such pairs, or a list of batches
            that are, which are read once.
        penalty: $\lambda\,\Omega$, or None.
        chunk_size: the largest number of examples evaluated at once.
        update_buffers: let layers such as batch normalisation move their running statistics, as
            training does.
        together: the processes that evaluate every batch together, each a share of its examples;
            values and gradients are then those of the whole batch, and differentiable no further.

    Raises:
        ValueError: the data are no pair, x and y differ in length or are empty, the model has no
            parameter to move, w has the wrong length, the loss is no callable or not a scalar, or
            chunk_size is less than 1; or the data have weights and the loss is none of this
            package.

    Example:
        >>> import gradus, torch
        >>> x = torch.randn(100, 3)
        >>> model = torch.nn.Linear(3, 1)
        >>> risk = gradus.EmpiricalRisk(model, gradus.MSELoss(), (x, x.sum(1, keepdim=True)))
        >>> risk.dimension
        4
        >>> risk.value(torch.tensor([1.0, 1.0, 1.0, 0.0])).item()
        0.0

    Source: Bottou, Curtis, Nocedal (2018), "Optimization Methods for Large-Scale Machine
        Learning", equation (3.2).
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        data: Examples | tuple[Any, Any] | Mapping[str, Any] | TorchDataset[Any] | DataLoader[Any],
        penalty: Penalty | None = None,
        *,
        chunk_size: int = 4096,
        update_buffers: bool = False,
        together: Together | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        if not callable(loss):
            raise ValueError(
                f"loss {quoted(loss)}: give a loss of gradus or torch.nn, or a callable"
            )
        self.data = given_examples(data)
        self.penalty = penalty
        self.chunk_size = chunk_size
        self.update_buffers = update_buffers
        self.together = together
        moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not moving:
            raise ValueError("the model has no parameter with requires_grad=True: nothing to move")
        if getattr(loss, "reduction", "mean") == "none":
            raise ValueError('the loss has reduction="none", but a risk is a mean; give "mean"')
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
        self._placed: tuple[Tensors, tuple[Tensor, ...]] | None = None
        self._names = tuple(moving)
        self._shapes = tuple(p.shape for p in moving.values())
        self._sizes = tuple(p.numel() for p in moving.values())

    @property
    def dimension(self) -> int:
        """d, the length of w."""
        return sum(self._sizes)

    @cached_property
    def smooth(self) -> EmpiricalRisk:
        """The same risk without its penalty."""
        if self.penalty is None:
            return self
        return EmpiricalRisk(
            self.model,
            self.loss,
            self.data,
            chunk_size=self.chunk_size,
            update_buffers=self.update_buffers,
            together=self.together,
        )

    @property
    def parameters(self) -> Tensors:
        """The present parameters of the model, as a list of copies."""
        own = dict(self.model.named_parameters())
        return Tensors([own[name].detach().clone() for name in self._names])

    @property
    def point(self) -> Tensor:
        """The present parameters of the model, as a flat vector ``[d]`` (a copy)."""
        return self.parameters.flat()

    def assign(self, w: Tensor | Tensors) -> None:
        """Set the parameters of the model to w."""
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in self._named(_entries(w)).items():
                own[name].copy_(value)

    @contextmanager
    def placed_at(self, w: Tensors) -> Iterator[None]:
        """Within this the model stands at w, also as its entries are overwritten.

        A gradient there need not bring the model to its point first, and back.
        """
        leaves = tuple(value.detach().requires_grad_() for value in w.values)
        with self._at(leaves, update_buffers=True):
            self._placed = w, leaves
            try:
                yield
            finally:
                self._placed = None

    def value(self, w: Tensor | Tensors, batch: Batch | None = None) -> Tensor:
        """f(w) on a batch, or on the whole data: a 0-d tensor of float32 at least.

        Differentiable in w.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and w.requires_grad):
            value = self.mean_loss(w, batch)
            return value if self.penalty is None else value + self.penalty.value(w)

    def mean_loss(self, w: Tensor | Tensors, batch: Batch | None = None) -> Tensor:
        """R(h_w) on a batch, or on the whole data: f(w) without the penalty."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and w.requires_grad):
            entries, chunks = _entries(w), self._chunks(batch)
            if len(chunks) == 1 and self.together is None:
                with self._at(entries):
                    return self._loss(chunks[0])
            totals: list[Tensor] = []
            masses: list[Mass] = []
            for chunk in chunks:
                with self._at(entries):
                    total, mass = self._part(chunk)
                totals.append(total)
                masses.append(mass)
            if self.together is None:
                return averaged(torch.stack(totals).sum(), masses)
            nothing = Tensors([entries[0].new_empty(0)])
            total, mass, _ = added(self.together, totals, masses, nothing)
            return averaged(total, self._divisor(mass))

    def gradient(self, w: Point, batch: Batch | None = None) -> Point:
        """The gradient of f at w, of w's own form; differentiable in w if w requires gradients."""
        return self.value_and_gradient(w, batch)[1]

    def value_and_gradient(self, w: Point, batch: Batch | None = None) -> tuple[Tensor, Point]:
        """f(w) and its gradient from one evaluation; a kink of the penalty gives a subgradient."""
        value, gradient = self.loss_and_gradient(w, batch)
        return (value if self.penalty is None else value + self.penalty.value(w)), gradient

    def loss_and_gradient(self, w: Point, batch: Batch | None = None) -> tuple[Tensor, Point]:
        """The mean loss alone, and the gradient of all of f, penalty included."""
        differentiable = torch.is_grad_enabled() and w.requires_grad
        with torch.enable_grad():
            leaves = _entries(w)
            if self._placed is not None and w is self._placed[0]:
                leaves = self._placed[1]
            elif not differentiable:
                leaves = tuple(leaf.detach().requires_grad_() for leaf in leaves)
            value, gradients = self._mean_and_gradients(leaves, batch, differentiable)
        if not differentiable:
            value = value.detach()
        gradient = _like(w, gradients)
        if self.penalty is not None:
            gradient = gradient + self.penalty.gradient(w)
        return value, gradient

    def hvp(self, w: Point, v: Point, batch: Batch | None = None) -> Point:
        r"""The Hessian of f at w times v, of w's own form, penalty included.

        $$\nabla^2 f(w)\, v = \nabla_w \big( \nabla f(w)^\top v \big)$$

        The matrix is never formed. A product costs 8 matrix products in each linear layer (9 in
        a model with modules of its own), where a gradient costs 3: in all 2 to 4 gradients. Where
        many are taken at one point, :meth:`curvature_at` costs less, about two gradients each.
        Differentiable where w requires gradients.

        Source: Pearlmutter (1994), "Fast exact multiplication by the Hessian".
        """
        return self._curvature(w, batch, "hessian") @ v

    def hessian(
        self, w: Tensor | Tensors, batch: Batch | None = None, *, limit: float = LIMIT
    ) -> Tensor:
        """The Hessian of f at w, ``[d, d]`` over the flat vector w, penalty included.

        Raises:
            InputError: it would take more than ``limit`` bytes.
        """
        return self._curvature(_flat(w), batch, "hessian").matrix(limit=limit)

    def gauss_newton_product(self, w: Point, v: Point, batch: Batch | None = None) -> Point:
        """The Gauss-Newton matrix of f at w times v, of w's own form; see :meth:`gauss_newton`."""
        return self._curvature(w, batch, "gauss-newton") @ v

    def gauss_newton(
        self, w: Tensor | Tensors, batch: Batch | None = None, *, limit: float = LIMIT
    ) -> Tensor:
        r"""The Gauss-Newton matrix of f at w, ``[d, d]`` over the flat vector w.

        $$G = \frac{1}{N} \sum_{i=1}^{N} J_i^\top \, \nabla_z^2 L(z_i, y_i) \, J_i
          + \nabla^2 \lambda\,\Omega(w), \qquad
          z_i = h_w(x_i), \quad J_i = \frac{\partial z_i}{\partial w}$$

        It is the Hessian without the second derivatives of the model.

        Raises:
            InputError: it would take more than ``limit`` bytes.

        Source: Schraudolph (2002), "Fast curvature matrix-vector products for second-order gradient
            descent".
        """
        return self._curvature(_flat(w), batch, "gauss-newton").matrix(limit=limit)

    def fisher_product(
        self, w: Point, v: Point, batch: Batch | None = None, *, empirical: bool = False
    ) -> Point:
        r"""The Fisher matrix of f at w times v, of w's own form.

        $$F = \frac{1}{N} \sum_{i=1}^{N} J_i^\top \,
          E_{y \sim p(\cdot \mid z_i)}\big[\nabla_z L \, \nabla_z L^\top\big] \, J_i
          + \nabla^2 \lambda\,\Omega(w)$$

        y is drawn from the distribution of which the loss is the negative logarithm: softmax for
        cross entropy, the log-probabilities themselves for NLL and KL, Gaussian of variance 1/2 for
        MSE, Laplace for L1, with more of it on one side for pinball, Gaussian with its tails for
        Huber. For cross entropy and MSE it is the Gauss-Newton matrix. The empirical
        Fisher matrix takes the targets of the data in place of the expectation. Both are divided
        by what the mean of the loss is divided by.

        Raises:
            ValueError: the loss is not of these; or it has class weights or label smoothing, with
                which it is no likelihood (the empirical Fisher matrix takes both); or the output
                has not one row per example, as the empirical Fisher matrix needs.

        Source: Amari (1998), "Natural gradient works efficiently in learning"; Kunstner, Balles,
            Hennig (2019), "Limitations of the empirical Fisher approximation".
        """
        return self._curvature(w, batch, "empirical-fisher" if empirical else "fisher") @ v

    def curvature_at(
        self, w: Point, batch: Batch | None = None, *, matrix: Matrix = "hessian"
    ) -> Curvature[Point]:
        """A matrix at w for many products, ``curvature @ v``.

        Where the batch is one chunk its graph is built once and kept, see
        :class:`~gradus.risk.curvature.Curvature`.

        Args:
            w: the point.
            batch: the batch.
            matrix: "hessian", "gauss-newton", "fisher" or "empirical-fisher".

        Example:
            >>> import gradus, torch
            >>> x, y = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
            >>> model = torch.nn.Linear(1, 1, bias=False)
            >>> curvature = gradus.EmpiricalRisk(model, gradus.MSELoss(), (x, y)).curvature_at(
            ...     torch.ones(1)
            ... )
            >>> curvature @ torch.tensor([2.0])
            tensor([20.])
        """
        require_matrix(matrix, get_args(Matrix), "a risk")
        return self._curvature(w, batch, matrix, kept=True)

    def _curvature(
        self, w: Point, batch: Batch | None, matrix: Matrix, *, kept: bool = False
    ) -> Curvature[Point]:
        leaves = split_parameters(w, self._shapes)
        differentiable = torch.is_grad_enabled() and w.requires_grad
        if not differentiable:
            leaves = tuple(leaf.detach().requires_grad_() for leaf in leaves)
        chunks, plain = (
            in_chunks(batch, len(self.data), self.chunk_size),
            built_of_torch(self.model),
        )

        def summands() -> Iterator[Summand]:
            for chunk in chunks:
                x, y = examples_of(self.data, chunk)
                yield of_chunk(
                    matrix,
                    partial(self.model, x),
                    partial(self._at, leaves, update_buffers=False),
                    leaves,
                    self._loss_on(chunk),
                    y,
                    examples=len(x),
                    alone=len(chunks) == 1,
                    plain=plain,
                    create_graph=differentiable,
                )

        penalty = None
        if self.penalty is not None:
            with torch.enable_grad():
                value = self.penalty.value(Tensors(leaves))
                penalty = hessian_product(value, leaves, create_graph=differentiable)
        return Curvature(
            w,
            self._shapes,
            summands,
            lambda masses: share(masses, leaves[0]),
            penalty,
            kept=kept and len(chunks) == 1,
        )

    def _mean_and_gradients(
        self, leaves: tuple[Tensor, ...], batch: Batch | None, create_graph: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        def gradients_of(value: Tensor) -> tuple[Tensor, ...]:
            return torch.autograd.grad(
                value, leaves, create_graph=create_graph, materialize_grads=True
            )

        twice = twice_differentiable if create_graph else nullcontext
        chunks = self._chunks(batch)
        if len(chunks) == 1 and self.together is None:
            with self._at(leaves), twice():
                value = self._loss(chunks[0])
                return value, gradients_of(value)
        totals: list[Tensor] = []
        masses: list[Mass] = []
        gradients = wide(Tensors([torch.zeros_like(leaf) for leaf in leaves]))
        is_any_narrow = any(is_narrow(leaf.dtype) for leaf in leaves)
        for chunk in chunks:
            with self._at(leaves), twice():
                total, mass = self._part(chunk)
                if is_any_narrow:  # in which the gradient of a sum may have no number
                    of_mean = wide(Tensors(gradients_of(averaged(total, [mass]))))
                    is_sum = isinstance(mass, float) and mass == 0
                    gradients = gradients + (of_mean if is_sum else of_mean * mass)
                else:
                    gradients = gradients + Tensors(gradients_of(total))
            totals.append(total if create_graph else total.detach())
            masses.append(mass)
        if self.together is None:
            total = torch.stack(totals).sum()
        else:
            total, mass, gradients = added(self.together, totals, masses, gradients)
            masses = self._divisor(mass)
        share = averaged(torch.ones_like(total), masses)
        return averaged(total, masses), narrow(gradients * share, Tensors(leaves)).values

    def _chunks(self, batch: Batch | None) -> Sequence[Batch]:
        """The chunks of a batch that are evaluated here."""
        if self.together is not None:
            batch = cut(batch, len(self.data), self.together)
            if batch is None:
                return []
        return in_chunks(batch, len(self.data), self.chunk_size)

    def _divisor(self, mass: Tensor) -> list[Mass]:
        """What the sum over all processes is divided by; of a loss that is a sum, nothing."""
        return [0.0] if getattr(self.loss, "reduction", "mean") == "sum" else [mass]

    def _loss(self, chunk: Batch) -> Tensor:
        x, y = examples_of(self.data, chunk)
        return reduced(self._loss_on(chunk), self.model(x), y)

    def _part(self, chunk: Batch) -> tuple[Tensor, Tensor | float]:
        x, y = examples_of(self.data, chunk)
        return summed(self._loss_on(chunk), self.model(x), y)

    def _loss_on(self, chunk: Batch) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss, in which each example of the chunk counts what it does in the data."""
        return weighted(self.loss, weights_of(self.data, chunk), self._usual_weight)

    @cached_property
    def _usual_weight(self) -> float | None:
        return mean_weight_of(self.data, self.loss)

    def _at(
        self, entries: tuple[Tensor, ...], *, update_buffers: bool | None = None
    ) -> AbstractContextManager[object]:
        """Within this the model has these parameters.

        What is evaluated there is differentiated there too: a checkpoint evaluates it again.
        """
        is_placed = self._placed is not None and entries is self._placed[1]
        if update_buffers is None:
            update_buffers = self.update_buffers
        if is_placed and update_buffers:
            return nullcontext()
        named = {} if is_placed else self._named(entries)
        return substituted(self.model, named, copy_buffers=not update_buffers)

    def _named(self, entries: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """The parameters under their names, out of a flat vector or of a list of them."""
        shapes = tuple(entry.shape for entry in entries)
        if shapes != self._shapes:
            if shapes != ((self.dimension,),):
                given = ", ".join(str(tuple(shape)) for shape in shapes)
                raise ValueError(f"w has shape {given}, but must be ({self.dimension},)")
            parts = zip(entries[0].split(self._sizes), self._shapes, strict=True)
            entries = tuple(part.view(shape) for part, shape in parts)
        return dict(zip(self._names, entries, strict=True))


def _entries(w: Tensor | Tensors) -> tuple[Tensor, ...]:
    return w.values if isinstance(w, Tensors) else (w,)


def _like(w: Point, entries: tuple[Tensor, ...]) -> Point:
    return Tensors(entries) if isinstance(w, Tensors) else entries[0]


def _flat(w: Tensor | Tensors) -> Tensor:
    return w.flat() if isinstance(w, Tensors) else w
