"""Whether a checkpoint is one of this optimizer, and a state of its own made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import Tensor

OPTIONS_OF_CLASS = {
    "SGD": {"momentum", "dampening"},
    "RMSprop": {"alpha", "centered"},
    "Adagrad": {"lr_decay"},
    "NAdam": {"betas", "momentum_decay"},
    "Adam": {"betas", "amsgrad"},
    "RAdam": {"betas", "decoupled_weight_decay"},
    "Adamax": {"betas", "weight_decay"},
    "SparseAdam": {"betas"},
    "Adadelta": {"rho"},
    "Adafactor": {"beta2_decay"},
    "ASGD": {"lambd"},
    "LBFGS": {"history_size"},
    "Muon": {"ns_steps"},
    "Rprop": {"etas"},
}
"""The options by which a parameter group is known, of the first class that has them all."""

State = Mapping[Any, Mapping[str, Any]]
Groups = Iterable[Mapping[str, Any]]


def check_class(name: str, groups: Groups, state: State) -> None:
    """Refuse the groups and the state of another class than the one of this name.

    A checkpoint does not say its class; its options and the keys of its state do. Adam and AdamW
    take each other's, as in torch, where whether weight decay is apart is an option of a group.

    Raises:
        ValueError: they are of another class.
    """
    entries = [entry for entry in state.values() if isinstance(entry, Mapping)]
    for group in groups:
        possible = _classes_of(group, entries)
        if possible and name not in possible:
            raise ValueError(
                f"this is {name}, and the state_dict is one of {' or '.join(possible)}: load it "
                "into an optimizer of its class, or begin this one without it"
            )


def _classes_of(group: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> Collection[str]:
    """The classes of which a group may be; none where nothing tells."""
    if "beta" in group:
        keys = {key for entry in entries for key in entry}
        if "previous" in keys:
            return ("Nesterov",) if "iterate" in keys else ("Polyak",)
        return "Polyak", "Nesterov"  # before the first step they are the same
    found = (name for name, options in OPTIONS_OF_CLASS.items() if options <= group.keys())
    name = next(found, None)
    if name == "Adamax" and "eps" not in group:
        return ("Lion",)
    if name == "Adamax":  # whose options are those of ADOPT
        keys = {key for entry in entries for key in entry}
        known = {"exp_inf": ("Adamax",), "exp_avg_sq": ("ADOPT",)}
        return next((known[key] for key in known if key in keys), ("Adamax", "ADOPT"))
    if name == "Adam":
        return ("AdamW", "Adam") if group.get("decoupled_weight_decay") else ("Adam", "AdamW")
    return () if name is None else (name,)


def check_shapes(groups: Groups, state: State, keys: Collection[str]) -> None:
    """Refuse vectors of other shapes than those of their parameters.

    Args:
        groups: with the parameters of this optimizer.
        state: what is kept of each.
        keys: under which it keeps vectors as long as the parameter.

    Raises:
        ValueError: a shape differs; says of which parameter, by its name where it has one.
    """
    for at, group in enumerate(groups):
        names = group.get("param_names")
        for index, p in enumerate(group["params"]):
            for key, kept in state.get(p, {}).items():
                if key not in keys or not isinstance(kept, Tensor) or kept.shape == p.shape:
                    continue
                name = repr(names[index]) if names else f"{index} of group {at}"
                raise ValueError(
                    f"the state_dict is of other parameters: {key} of parameter {name} has shape "
                    f"{tuple(kept.shape)}, and the parameter {tuple(p.shape)}"
                )


def copied(state: State) -> defaultdict[Any, Any]:
    """The state in memory of its own, so that no step writes into where it came from."""
    own: defaultdict[Any, Any] = defaultdict(dict)
    for p, entry in state.items():
        if isinstance(entry, Mapping):  # what belongs to no parameter may be anything
            entry = {k: v.clone() if isinstance(v, Tensor) else v for k, v in entry.items()}
        own[p] = entry
    return own
