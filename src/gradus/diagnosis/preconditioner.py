r"""What an adaptive method divides the gradient by, where a run stands.

$$w_{t+1} = w_t - \alpha P_t^{-1} m_t, \qquad
  P_t = (1 - \beta_1^t) \left( \sqrt{v_t / (1 - \beta_2^t)} + \epsilon \right)$$

for Adam; for RMSprop and Adagrad their own denominators. Cohen et al. (2022), equation (2).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradus import methods
from gradus.engine.execution import Execution
from gradus.engine.iteration import InPlaceIteration
from gradus.optim.inplace import STATE_NAMES
from gradus.optim.rules import Obstacle, method_of


def preconditioner(execution: Execution) -> Tensor | None:
    """The diagonal of P, ``[d]``, on the CPU; None where the method has none that is known.

    Args:
        execution: the run under way, after a step at least.
    """
    method: Any = execution.job.method
    if isinstance(method, methods.Proximal):
        method = method.method
    t = execution.journal.outcome.step
    match method:
        case methods.Adam() | methods.AdamW():
            b1, b2 = map(float, method.betas)
            v = _vector(execution, method, "v_max" if method.amsgrad else "v")
            if v is None:
                return None
            return (1 - b1**t) * ((v / (1 - b2**t)).sqrt() + float(method.eps))
        case methods.RMSprop():
            v = _vector(execution, method, "square_average")
            if v is not None and method.centered:
                mean = _vector(execution, method, "gradient_average")
                v = None if mean is None else v - mean.square()
            return None if v is None else v.clamp_min(0).sqrt() + float(method.eps)
        case methods.Adagrad():
            v = _vector(execution, method, "sum")
            decay = 1 + (t - 1) * float(method.lr_decay)
            return None if v is None else decay * (v.sqrt() + float(method.eps))
    return None


def _vector(execution: Any, method: Any, name: str) -> Tensor | None:
    """A vector of the method's state, ``[d]``, in the order of the parameters that move."""
    if execution.engine == "native":
        return _of_native(execution, method, name)
    iteration = getattr(execution, "iteration", None)
    if isinstance(iteration, InPlaceIteration):
        found = iteration.state[iteration.kernels.state_names.index(name)]
        return torch.cat([value.detach().flatten() for value in found]).cpu().clone()
    vector = getattr(getattr(iteration, "state", None), name, None)
    return None if vector is None else vector.flat().detach().cpu().clone()


def _of_native(execution: Any, method: Any, name: str) -> Tensor | None:
    try:
        column = 1 + STATE_NAMES[method_of(method)["rule"]].index(name)
    except (Obstacle, ValueError):
        return None
    vector: Tensor = execution.column(column)
    return vector
