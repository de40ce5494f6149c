"""A learning rate that nobody gave, for a model of the user's own: it is found before the run.

A step of gradient descent, with or without momentum, is in proportion to the gradient, and how long
it may be depends on how that very model bends: no number suits all. Methods that scale their
gradient keep their default, which suits most. ``python -m benchmarks.left_open`` measures both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from gradus.data.dataset import Split
from gradus.formatting import duration
from gradus.models.own import is_object, is_users
from gradus.runs.advice import stability_limit
from gradus.runs.choices import ON_ALL_DATA
from gradus.runs.learning_rate.automatic import NoRateError, Tell, found_for
from gradus.runs.objects.given import Objects
from gradus.runs.parts.method import has_one_rate
from gradus.runs.spec import RunSpec
from gradus.runs.start import Start

LONG = 20.0
"""Seconds after which it is said why the run has not begun."""


def is_left_open(spec: RunSpec, objects: Objects, given: Collection[str]) -> bool:
    """Whether a learning rate is to be found because nobody gave one.

    Not where the model is one that ships, nor where something else decides: an object or code of
    the user's in place of the method, groups of parameters, a scheduler, the order of a loader.

    Args:
        spec: of the run, complete.
        objects: of which it says only what identifies them.
        given: the options that were given.
    """
    if "lr" in given or not is_users(spec.model) or is_users(spec.method) or spec.stream:
        return False
    if objects.groups is not None or is_object(spec.schedule) or is_object(spec.sampling):
        return False
    if spec.method in ON_ALL_DATA or has_one_rate(spec.method):
        return False
    return stability_limit(spec) is not None


def rate_for(
    spec: RunSpec,
    split: Split,
    start: Start | None,
    objects: Objects,
    *,
    usual: float,
    finding: Tell,
    tell: Callable[[str], None],
) -> tuple[Mapping[str, Any] | None, float]:
    """How the learning rate of such a run was found, None where it was not; and the rate.

    Args:
        spec: of the run, its learning rate ``auto``.
        split: its data.
        start: what it begins with, where that is another's.
        objects: of which the spec says only what identifies them.
        usual: the default of the method, which is taken where every rate that is tried diverges.
        finding: told how far it is.
        tell: told, in one line, what was found and what it cost.
    """
    began, is_told = time.perf_counter(), False

    def told(what: str, done: int, of: int) -> None:
        nonlocal is_told
        finding(what, done, of)
        if not is_told and time.perf_counter() - began > LONG:
            is_told = True
            tell(
                "--lr: was not given, and is found by short trainings, which take longer than the "
                f"run itself; give it to begin at once, as --lr {usual:g}"
            )

    try:
        found = found_for(spec, split, start, objects, told).record()
    except NoRateError:
        tell(
            f"--lr {usual:g}: the default of {spec.method}, as none was given and every one that "
            "was tried diverges"
        )
        return None, usual
    tell(told_of(found))
    return found, found["lr"]


def told_of(found: Mapping[str, Any]) -> str:
    """What is said of a learning rate that was found unasked.

    Args:
        found: how, as the record says it.

    Example:
        >>> told_of({"lr": 0.12, "tried": [{}] * 5, "seconds": 1.4})
        '--lr 0.12: was not given, and found by 5 short trainings in 1.4 s; give it to begin at once'
    """  # noqa: E501
    return (
        f"--lr {found['lr']:g}: was not given, and found by {len(found['tried'])} short trainings "
        f"in {duration(found['seconds'])}; give it to begin at once"
    )
