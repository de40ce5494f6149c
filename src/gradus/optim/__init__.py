"""The methods as ``torch.optim.Optimizer`` classes, to be put where torch's own stood.

Every class takes the options of its torch namesake, in the same order and with the same meaning,
and exchanges ``state_dict`` with it in both directions. ``foreach``, ``fused``, ``differentiable``
and ``capturable`` say how a step is carried out:

``foreach``
    The equation on lists of tensors, in place and in pieces that fit the cache. The default, on
    every device (torch's is the for-loop on a CPU).
``foreach=False``
    The for-loop: the equation on one tensor after the other. What every other form is checked
    against.
``fused``
    One pass over memory. On the CPU the C++ kernels of the native engine move float32 and float64
    parameters under SGD, Adam, AdamW, Adagrad, Polyak and Nesterov, a whole list in one call, with
    torch's own threads. They round every operation as torch's kernels do on the same processor, so
    that a step is the for-loop's to the bit. For that they take torch's square roots where these
    are not the correctly rounded ones, which costs time; ``GRADUS_ROOTS=processor`` in the
    environment takes the processor's, which may differ in the last place. What the kernels do not
    take is moved by torch's own fused kernel for SGD, Adam, AdamW and Adagrad, which differs from
    the for-loop by roundings, and otherwise, on the CPU, by the pieces of ``foreach``: other dtypes
    and devices,
    tensors with gaps or in another order in memory than their gradients, gradients that a
    GradScaler has scaled; and everything where the kernels are absent
    (:func:`gradus.kernels.absence` says why) or torch is older than 2.10. One parameter that is
    not taken sends its whole list there. With ``maximize`` or weight decay an entry that is
    infinite may become NaN (0 times infinity).
``differentiable``
    Automatic differentiation sees the step, options given as tensors included.
``capturable``
    The count of steps and options given as tensors stay on the device, so that a step never waits
    for it and can be captured in a CUDA graph. Each parameter then takes its step by itself,
    except under ``fused``.

A checkpoint of another class, or whose state has other shapes than the parameters, is refused by
``load_state_dict``; what is loaded is copied. Where ``eps`` is 0 in the type of the parameters, as
1e-8 is in float16, a step is computed in float32 and rounded, in every form.

Complex parameters move as pairs of real ones. A tensor as ``lr`` is read at every step. Numbers
that are NaN, infinite, bool or text, and flags that are not bool, are refused when they are given
and, where they are changed in ``param_groups``, at the next step; but under ``capturable`` a tensor
put there later is not looked at, for the host would have to wait for the device. A step that is
compiled with ``torch.compile`` is carried out as it is, uncompiled.
"""

from typing import Any

import lazy_loader

_own, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """What is here; ``Optimizer``, ``lr_scheduler`` and ``swa_utils`` are torch's own."""
    if name in __all__:
        return _own(name)
    import torch.optim

    if name in ("Optimizer", "lr_scheduler", "swa_utils"):
        return getattr(torch.optim, name)
    hint = f": take torch.optim.{name}" if hasattr(torch.optim, name) else ""
    raise AttributeError(f"gradus.optim has no {name}{hint}; it has {', '.join(__all__)}")
