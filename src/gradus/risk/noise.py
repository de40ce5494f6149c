r"""How noisy the gradient of a mini-batch is, beside the gradient itself.

$$B_{\mathrm{simple}} = \frac{\mathrm{tr}\,\Sigma}{|g|^2}$$

At a batch of so many examples the noise is as long as the gradient: smaller batches mostly wander,
larger ones gain little by their size (McCandlish et al., 2018, equation 2.9).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from gradus.data.dataset import Dataset
from gradus.risk.losses import Loss

EXAMPLES = 300
"""Of which the gradients are taken one by one, at most."""

WORK = 3 * 10**7
"""Numbers of all these gradients together, at most."""

AT_ONCE = 10**7
"""Numbers of gradients that are held at once."""


def noise_scale(
    models: Sequence[nn.Module], loss: Loss, data: Dataset, examples: int
) -> float | None:
    r"""$B_{\mathrm{simple}}$, as the ratio of means over these points; None where it is not known.

    The mean gradient of n of N examples has a variance of $\mathrm{tr}\,\Sigma / n$ of its own, but
    for the share $n / N$ that is known: it is taken off its square.

    Args:
        models: as they stood at these points, in ``eval`` mode, on the CPU.
        loss: that is trained on.
        data: examples of which gradients are taken.
        examples: that are trained on, N, of which these are some.

    Example:
        >>> import torch
        >>> from gradus.risk.losses import MSELoss
        >>> x = torch.tensor([[1.0], [1.0]]).repeat(8, 1)
        >>> y = torch.tensor([[1.0], [3.0]]).repeat(8, 1)
        >>> net = torch.nn.Linear(1, 1, bias=False)
        >>> torch.nn.init.zeros_(net.weight).data  # gradients -2 and -6: mean -4, variance 64 / 15
        tensor([[0.]])
        >>> noise_scale([net], MSELoss(), Dataset(x, y), 16) * 15
        4.0
    """
    d = sum(p.numel() for p in models[0].parameters() if p.requires_grad)
    n = min(EXAMPLES, WORK // d, len(data))
    if n < 16:
        return None
    known = 1 - n / examples
    traces, squares = [], []
    for model in models:
        try:
            mean, norms = _gradients(model, loss, data.subset(slice(0, n)), d)
        except (RuntimeError, ValueError):  # what torch cannot map over examples
            return None
        square = float(mean.square().sum())
        trace = n / (n - 1) * (float(norms.mean()) - square)
        traces.append(trace)
        squares.append(square - known * trace / n)
    total = sum(squares)
    return sum(traces) / total if total > 0 else None


def _gradients(model: nn.Module, loss: Loss, data: Dataset, d: int) -> tuple[Tensor, Tensor]:
    """The mean gradient ``[d]``, and the squared norm of that of each example ``[n]``."""
    moving = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    still = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    still |= dict(model.named_buffers())

    def of_one(w: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        value: Tensor = loss(functional_call(model, (w, still), (x[None],)), y[None])
        return value

    each = vmap(grad(of_one), in_dims=(None, 0, 0))
    x, y = data.batch()
    size = max(1, AT_ONCE // d)
    total, norms = torch.zeros(d, dtype=torch.float64), []
    for at in range(0, len(x), size):
        found = each(moving, x[at : at + size], y[at : at + size])
        flat = torch.cat([g.flatten(1) for g in found.values()], dim=1).double()
        total += flat.sum(dim=0)
        norms.append(flat.square().sum(dim=1))
    return total / len(x), torch.cat(norms)
