"""Metrics that are asked for in a call: names, and functions of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gradus.errors import InputError, quoted
from gradus.metrics.measures import OF_CLASSES, OF_NUMBERS
from gradus.metrics.own import Metric
from gradus.runs.objects.identity import Identity, identity_of, plain

KNOWN = ("accuracy", "loss", *OF_CLASSES, *OF_NUMBERS)
"""Names that are taken."""


def metrics_of(given: Any) -> tuple[tuple[str, ...], dict[str, Metric], dict[str, Identity]]:
    """How metrics stand in a spec; those of the user's own by name, and what identifies each.

    Args:
        given: a name, a function or a ``Metric``; a list of them; or a dict of functions by name.

    Raises:
        InputError: one is neither, or two have one name.

    Example:
        >>> def within_one(output, target): ...
        >>> written, own, identities = metrics_of(["f1", within_one])
        >>> written[0], list(own)
        ('f1', ['within_one'])
    """
    if isinstance(given, Mapping):
        named = [(name, each) for name, each in given.items()]
        given = [
            replace(each, name=str(name)) if isinstance(each, Metric) else Metric(each, str(name))
            for name, each in named
        ]
    elif not isinstance(given, list | tuple):
        given = [given]
    written: list[str] = []
    own: dict[str, Metric] = {}
    identities: dict[str, Identity] = {}
    for each in given:
        if isinstance(each, str):
            written += [part.strip() for part in each.split(",") if part.strip()]
            continue
        metric = each if isinstance(each, Metric) else Metric(each)
        if metric.name in KNOWN:
            raise InputError(
                f"metrics {quoted(metric.name)}: is the name of a figure of Gradus; give it "
                "another, as a dict does: metrics={'mine': ..}"
            )
        if metric.name in own:
            raise InputError(f"metrics {quoted(metric.name)}: is the name of two of them")
        function = identity_of(metric.function)
        options = {"function": function.name, "rises": metric.rises, **function.options}
        identity = Identity(metric.name, plain(options), function.source, function.content)
        own[metric.name], identities[f"metrics {metric.name}"] = metric, identity
        written.append(identity.written)
    return tuple(written), own, identities
