"""Which options belong to which choice: the tables behind RunSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLASSES: dict[str, dict[str, str]] = {
    "method": {
        "sgd": "SGD",
        "gradient-descent": "GradientDescent",
        "polyak": "Polyak",
        "nesterov": "Nesterov",
        "adam": "Adam",
        "adamw": "AdamW",
        "rmsprop": "RMSprop",
        "adagrad": "Adagrad",
        "proximal-gradient": "ProximalGradient",
        "newton": "Newton",
        "newton-cg": "NewtonCG",
        "gauss-newton": "GaussNewton",
        "levenberg-marquardt": "LevenbergMarquardt",
        "lbfgs": "LBFGS",
    },
    "schedule": {
        "constant": "Constant",
        "step": "StepDecay",
        "inverse-time": "InverseTime",
        "inverse-sqrt": "InverseSqrt",
        "cosine": "Cosine",
    },
    "loss": {
        "cross-entropy": "CrossEntropyLoss",
        "nll": "NLLLoss",
        "mse": "MSELoss",
        "l1": "L1Loss",
        "kl-div": "KLDivLoss",
    },
    "penalty": {
        "l1": "L1",
        "l2": "L2",
        "squared-l2": "SquaredL2",
        "elastic-net": "ElasticNet",
    },
}
"""The class that each name stands for."""

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "method": {
        "sgd": {
            "lr": 0.001, "momentum": 0.5, "dampening": 0.0, "weight_decay": 0.0,
            "nesterov": False, "maximize": False,
        },
        "gradient-descent": {"lr": 0.001},
        "polyak": {"lr": 0.001, "beta": 0.9},
        "nesterov": {"lr": 0.001, "beta": 0.9},
        "adam": {
            "lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0,
            "amsgrad": False, "maximize": False,
        },
        "adamw": {
            "lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01,
            "amsgrad": False, "maximize": False,
        },
        "rmsprop": {
            "lr": 0.01, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0,
            "centered": False, "maximize": False,
        },
        "adagrad": {
            "lr": 0.01, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0,
            "eps": 1e-10, "maximize": False,
        },
        "proximal-gradient": {"lr": 0.001, "accelerated": False},
        "newton": {"lr": 1.0, "damping": 0.0, "saddle_free": False, "line_search": "none"},
        "newton-cg": {
            "lr": 1.0, "damping": 0.0, "max_iterations": 100, "line_search": "backtracking",
        },
        "gauss-newton": {"lr": 1.0, "damping": 0.0, "line_search": "none"},
        "levenberg-marquardt": {"lr": 1.0, "damping": 0.001},
        "lbfgs": {"lr": 1.0, "history": 10, "line_search": "strong-wolfe"},
    },
    "schedule": {
        "constant": {"warmup": 0},
        "step": {"warmup": 0, "decay_every": None, "decay_factor": 0.1},
        "inverse-time": {"warmup": 0, "gamma": None},
        "inverse-sqrt": {"warmup": 0, "gamma": 1.0},
        "cosine": {"warmup": 0, "final_lr": 0.0},
    },
    "model": {"mlp": {"hidden": (512, 512)}, "linear": {}, "*": {}},
    "penalty": {
        "none": {},
        "l1": {"strength": None, "proximal": False},
        "l2": {"strength": None, "proximal": False},
        "squared-l2": {"strength": None, "proximal": False},
        "elastic-net": {"strength": None, "l1_ratio": 0.5, "proximal": False},
    },
    "sampling": {
        "shuffle": {"batch_size": 16}, "sequential": {"batch_size": 16},
        "replacement": {"batch_size": 16}, "full": {},
    },
}  # fmt: skip
"""Which options belong to which choice, and their defaults; None: it has to be given."""

ON_ALL_DATA = {"newton", "newton-cg", "gauss-newton", "levenberg-marquardt", "lbfgs"}
"""The methods that see all examples at every step, unless a sampling or a batch size is given."""

DEFAULT_CHOICES = {
    "method": "sgd",
    "schedule": "constant",
    "model": "mlp",
    "penalty": "none",
    "sampling": "shuffle",
}


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options given, with the defaults of those that belong to the choices made.

    Raises:
        ValueError: an option does not belong to the choice made, or one that it needs is missing.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if str(values.get("method")) in ON_ALL_DATA and "batch_size" not in values:
        values.setdefault("sampling", "full")
    for choice, table in OPTIONS.items():
        chosen = values.get(choice, DEFAULT_CHOICES[choice])
        if choice == "model" and str(chosen) not in table:
            chosen = "*"
        if str(chosen) not in table:
            continue  # an unknown name: refused with its field, which says what is accepted
        accepted = table[chosen]
        owned = {option for options in table.values() for option in options}
        for option in sorted(owned & values.keys() - accepted.keys()):
            if chosen == "none" and values[option] in (0, "0", "0.0"):
                del values[option]  # no penalty at strength 0 is no contradiction
                continue
            raise ValueError(_misplaced(option, choice, values.get(choice, chosen), accepted))
        for option, default in accepted.items():
            if default is None and option not in values:
                raise ValueError(f"{flag(choice)} {chosen} needs {flag(option)}")
            values.setdefault(option, default)
    return values


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The options with some changes.

    What belonged to a choice that is changed goes with it: options that the new one does not
    have, and those that stood at the default of the old one.
    """
    kept = dict(values)
    for choice in OPTIONS.keys() & changes.keys():
        old = str(values.get(choice, DEFAULT_CHOICES[choice]))
        if changes[choice] == old:
            continue
        table = OPTIONS[choice]
        accepted, usual = table.get(str(changes[choice]), {}), table.get(old, {})
        for option in {option for options in table.values() for option in options}:
            given = kept.get(option)
            given = tuple(given) if isinstance(given, list) else given
            if option not in accepted or given == usual.get(option):
                kept.pop(option, None)
        if choice == "method" and _sees_usual_data(old, kept):
            kept.pop("sampling", None)
            kept.pop("batch_size", None)
    return {**kept, **changes}


def _sees_usual_data(method: str, values: Mapping[str, Any]) -> bool:
    """Whether the examples of a step are those that the method sees by default."""
    sampling = "full" if method in ON_ALL_DATA else DEFAULT_CHOICES["sampling"]
    batch_size = OPTIONS["sampling"][sampling].get("batch_size")
    usual = {"sampling": sampling, "batch_size": batch_size}
    return all(values.get(option, default) == default for option, default in usual.items())


def flag(option: str) -> str:
    """The command-line option of a field."""
    name, space, rest = option.partition(" ")
    return f"--{name.replace('_', '-')}{space}{rest}"


def _misplaced(option: str, choice: str, chosen: str, accepted: Mapping[str, Any]) -> str:
    takes = ", ".join(map(flag, accepted)) or "no options"
    if chosen == "none":
        return f"{flag(option)} needs {flag(choice)}: {' | '.join(list(OPTIONS[choice])[1:])}"
    return f"{flag(option)} is not an option of {flag(choice)} {chosen}, which takes {takes}"
