r"""How noisy the gradient of a mini-batch is, beside the gradient itself.

$$B_{\mathrm{simple}} = \frac{\mathrm{tr}\,\Sigma}{|g|^2}$$

At a batch of so many examples the noise is as long as the gradient: smaller batches mostly wander,
larger ones gain little by their size (McCandlish et al., 2018, equation 2.9).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from gradus.data.dataset import Dataset
from gradus.diagnosis.replay import Sight
from gradus.engine.job import Job

EXAMPLES = 300
"""Of which the gradients are taken one by one, at most."""

WORK = 3 * 10**7
"""Numbers of all these gradients together, at most."""

AT_ONCE = 10**7
"""Numbers of gradients that are held at once."""


def noise_scale(job: Job, sights: Sequence[Sight], data: Dataset) -> float | None:
    r"""$B_{\mathrm{simple}}$, as the ratio of means over these points; None where it is not known.

    The mean gradient of n of N examples has a variance of $\mathrm{tr}\,\Sigma / n$ of its own, but
    for the share $n / N$ that is known: it is taken off its square.

    Args:
        job: of the run.
        sights: where the run stood.
        data: examples.
    """
    d = len(sights[0].w)
    n = min(EXAMPLES, WORK // d, len(data))
    if n < 16:
        return None
    known = 1 - n / len(job.train)
    traces, squares = [], []
    for sight in sights:
        try:
            mean, norms = _gradients(job, sight, data.subset(slice(0, n)), d)
        except (RuntimeError, ValueError):  # what torch cannot map over examples
            return None
        square = float(mean.square().sum())
        trace = n / (n - 1) * (float(norms.mean()) - square)
        traces.append(trace)
        squares.append(square - known * trace / n)
    total = sum(squares)
    return sum(traces) / total if total > 0 else None


def _gradients(job: Job, sight: Sight, data: Dataset, d: int) -> tuple[Tensor, Tensor]:
    """The mean gradient ``[d]``, and the squared norm of that of each example ``[n]``."""
    model, loss = sight.model(job), job.loss.cpu()
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
