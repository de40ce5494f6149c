"""Other options that a search may take: which values, and where their learning rate begins.

How a learning rate moves with the batch size (in proportion; with its root for methods that scale
their gradient) and with momentum (lr / (1 - momentum) stays) is a rule to start from: the search
decides by training.

Source: Goyal et al. (2017), "Accurate, Large Minibatch SGD"; Malladi et al. (2022), "On the SDEs
and Scaling Rules for Adaptive Gradient Algorithms".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradus.errors import InputError, quoted
from gradus.runs.choices import OPTIONS, flag
from gradus.runs.spec import RunSpec
from gradus.tuning.bracket import Alternative

BATCH_FACTORS = (1 / 4, 4, 16)
"""Times the batch size that the run has otherwise."""

MOMENTA = (0.0, 0.5, 0.9, 0.97)
DECAYS = (0.0, 1e-4, 1e-3, 1e-2)
DECOUPLED_DECAYS = (0.0, 0.01, 0.1, 0.3)
"""Those of AdamW, which count once a step times the learning rate."""

WIDTH_FACTORS = (1 / 4, 1 / 2, 2, 4)

FREE = ("lr", "batch_size", "momentum", "weight_decay", "hidden")
"""What a search can find."""

UNSCALED = ("sgd", "polyak", "nesterov", "gradient-descent", "proximal-gradient")
"""Methods whose step is as long as the gradient says; others bring it to a scale of their own."""


def alternatives_of(
    spec: RunSpec, free: Sequence[str], examples: float = math.inf
) -> list[list[Alternative]]:
    """What may be taken in place of what a run has, option by option.

    Args:
        spec: of the run, none of these given.
        free: the options but for the learning rate.
        examples: that are trained on: no batch is larger.

    Raises:
        InputError: the run has none of one of them.

    Example:
        >>> spec = RunSpec(method="sgd", momentum=0.5)
        >>> [(each.options, each.factor) for each in alternatives_of(spec, ["momentum"])[0]][:1]
        [({'momentum': 0.0}, 2.0)]
    """
    return [_alternatives(spec, name, examples) for name in free]


def free_option(written: str) -> str:
    """The option that is meant.

    Raises:
        InputError: it is none that can be searched.
    """
    name = written.replace("-", "_")
    if name not in FREE:
        raise InputError(
            f"--free {quoted(written)}: choose {', '.join(each.replace('_', '-') for each in FREE)}"
        )
    return name


def _alternatives(spec: RunSpec, name: str, examples: float) -> list[Alternative]:
    own = OPTIONS["method"].get(spec.method, {})
    if name == "batch_size" and spec.batch_size is not None:
        power = 1.0 if spec.method in UNSCALED else 0.5
        sizes = [max(1, round(spec.batch_size * factor)) for factor in BATCH_FACTORS]
        return [
            Alternative({name: size}, (size / spec.batch_size) ** power)
            for size in sizes
            if size <= examples and size != spec.batch_size
        ]
    if name == "momentum" and {"momentum", "beta"} & own.keys():
        name = "momentum" if "momentum" in own else "beta"
        now = getattr(spec, name)
        others = [value for value in MOMENTA if not math.isclose(value, now)]
        return [Alternative({name: value}, (1 - value) / (1 - now)) for value in others]
    if name == "weight_decay" and name in own:
        decays = DECOUPLED_DECAYS if spec.method == "adamw" else DECAYS
        return [Alternative({name: value}, 1.0) for value in decays if value != spec.weight_decay]
    if name == "hidden" and spec.hidden:
        widths = [
            tuple(max(1, round(width * factor)) for width in spec.hidden)
            for factor in WIDTH_FACTORS
        ]
        return [Alternative({name: several}, 1.0) for several in widths]
    raise InputError(f"--free {name.replace('_', '-')}: {_why(spec, name)}")


def _why(spec: RunSpec, name: str) -> str:
    if name == "batch_size":
        return f"--sampling {spec.sampling} takes all examples at every step"
    if name == "hidden":
        return f"--model {spec.model} has no {flag(name)}"
    return f"--method {spec.method} has none"
