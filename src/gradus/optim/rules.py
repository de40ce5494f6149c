"""By which rule the C++ kernels move w: the methods that they know, in their words."""

from __future__ import annotations

from typing import Any

from gradus import methods
from gradus.importing import is_tensor
from gradus.methods.hyperparameters import is_set
from gradus.methods.method import Method

KNOWN = (
    methods.GradientDescent,
    methods.ProximalGradient,
    methods.Polyak,
    methods.Nesterov,
    methods.SGD,
    methods.Adam,
    methods.AdamW,
    methods.Adagrad,
    methods.RMSprop,
    methods.Lion,
    methods.Adamax,
    methods.Adadelta,
    methods.NAdam,
    methods.RAdam,
    methods.ADOPT,
    methods.FTRL,
)
"""The methods by which the kernels move the weights of a network."""


class Obstacle(Exception):  # noqa: N818  (not an error: what needs no kernels does the work)
    """What the kernels do not know, as words that follow "the native engine does not run"."""


def method_of(method: Method) -> dict[str, Any]:
    """The rule by which w moves and its numbers, as keywords of the kernels' Method.

    Raises:
        Obstacle: the kernels do not know the method.
    """
    if isinstance(method, methods.Proximal):
        method = method.method
    numbers: dict[str, Any]
    if type(method) not in KNOWN:  # what derives from them may have an equation of its own
        raise Obstacle(f"the method {type(method).__name__}")
    match method:
        case methods.GradientDescent():
            numbers = {"rule": "descent"}
        case methods.ProximalGradient():
            numbers = {"rule": "nesterov" if method.accelerated else "descent"}
        case methods.Polyak():
            numbers = {"rule": "polyak", "momentum": method.beta}
        case methods.Nesterov():
            numbers = {"rule": "nesterov", "momentum": method.beta}
        case methods.SGD():
            rule = "descent" if method.momentum == 0 else "sgd"
            numbers = {
                "rule": "sgd-nesterov" if method.nesterov else rule,
                "momentum": method.momentum,
                "dampening": method.dampening,
                "weight_decay": method.weight_decay,
                "maximize": method.maximize,
            }
        case methods.Adam() | methods.AdamW():
            numbers = {
                "rule": "amsgrad" if method.amsgrad else "adam",
                "beta1": method.betas[0],
                "beta2": method.betas[1],
                "eps": method.eps,
                "weight_decay": method.weight_decay,
                "decoupled": isinstance(method, methods.AdamW),
                "maximize": method.maximize,
            }
        case methods.Adagrad():
            numbers = {
                "rule": "adagrad",
                "eps": method.eps,
                "weight_decay": method.weight_decay,
                "lr_decay": method.lr_decay,
                "maximize": method.maximize,
            }
        case methods.RMSprop():
            centered = "-centered" if method.centered else ""
            numbers = {
                "rule": f"rmsprop{centered}" + ("-momentum" if is_set(method.momentum) else ""),
                "beta1": method.alpha,
                "beta2": method.alpha,
                "eps": method.eps,
                "momentum": method.momentum,
                "weight_decay": method.weight_decay,
                "maximize": method.maximize,
            }
        case methods.Adadelta():
            numbers = {
                "rule": "adadelta",
                "beta2": method.rho,
                "eps": method.eps,
                "weight_decay": method.weight_decay,
                "maximize": method.maximize,
            }
        case methods.Lion():
            numbers = {
                "rule": "lion",
                "beta1": method.betas[0],
                "beta2": method.betas[1],
                "weight_decay": method.weight_decay,
                "decoupled": True,
                "maximize": method.maximize,
            }
        case methods.FTRL():
            numbers = {"rule": "ftrl", "eps": method.beta, "l1": method.l1, "l2": method.l2}
        case methods.Adamax() | methods.NAdam() | methods.RAdam() | methods.ADOPT():
            is_decoupled = isinstance(method, methods.ADOPT)
            numbers = {
                "rule": type(method).__name__.lower(),
                "beta1": method.betas[0],
                "beta2": method.betas[1],
                "eps": method.eps,
                "weight_decay": method.weight_decay,
                "decoupled": getattr(method, "decoupled_weight_decay", is_decoupled),
                "momentum_decay": getattr(method, "momentum_decay", 0.0),
                "maximize": method.maximize,
            }
    for name, value in [*numbers.items(), ("lr", method.lr)]:
        if is_tensor(value):
            raise Obstacle(f"{type(method).__name__} with {name} a tensor")
    return numbers
