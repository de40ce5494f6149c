"""Which threshold a run decides by, once its data and its model are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradus.engine.evaluate import outputs_on
from gradus.errors import InputError, brief, quoted
from gradus.metrics.threshold import Threshold, best_threshold
from gradus.runs.judging import labels_of, probabilities
from gradus.runs.parts.threshold import BY_MEASURE, class_and_value

if TYPE_CHECKING:
    from gradus.data.dataset import Split
    from gradus.engine.job import Job
    from gradus.runs.spec import RunSpec


def given_threshold(
    written: str | float, classes: Sequence[str] | None, shares: Sequence[float] | None
) -> Threshold:
    """The threshold that the user gives.

    Args:
        written: a probability, of the class that is rarer in training, of even ones the second; or
            with the name of a class, as ``yes=0.3``.
        classes: their names; None where numbers are predicted.
        shares: of the training examples.

    Raises:
        InputError: there are other than two classes, or none of that name, or it is no probability.

    Example:
        >>> given_threshold("0.3", ("no", "yes"), (0.9, 0.1)), given_threshold("no=0.8", ("no", "yes"), None)
        (Threshold(of=1, at=0.3, measure=None, reached=None, likeliest=None), Threshold(of=0, at=0.8, measure=None, reached=None, likeliest=None))
    """  # noqa: E501
    names = _two(written, classes)
    try:
        name, at = class_and_value(str(written))
    except ValueError as error:
        raise InputError(f"--{error}") from None
    if name is not None and name not in names:
        raise InputError(
            f"--threshold {quoted(written)}: no such class; there are "
            f"{' and '.join(map(brief, names))}"
        )
    return Threshold(_rarer(shares) if name is None else names.index(name), at)


def check_threshold(spec: RunSpec, split: Split) -> None:
    """Refuse a threshold that cannot be, before anything is trained.

    Raises:
        InputError: it is none of these data, or is to be chosen and there is nothing to choose on.
    """
    if spec.threshold is None:
        return
    classes = split.train.classes
    if spec.threshold not in BY_MEASURE:
        given_threshold(spec.threshold, classes, None)
        return
    _two(spec.threshold, classes)
    held = split.validation
    if held is None or len(labels_of(held.y).unique()) < 2:
        what = "no examples are" if held is None else "examples of one class alone are"
        raise InputError(
            f"--threshold {spec.threshold}: {what} held for validation, to choose on; give "
            "--validation-fraction 0.15, or a probability"
        )


def threshold_of(spec: RunSpec, job: Job, shares: Sequence[float] | None) -> Threshold | None:
    """The threshold of a run, None where the likelier class is taken.

    Args:
        spec: of the run; checked.
        job: its model as the run left it.
        shares: of the classes among the training examples.
    """
    if spec.threshold is None:
        return None
    if spec.threshold not in BY_MEASURE:
        return given_threshold(spec.threshold, job.train.classes, shares)
    assert job.validation is not None
    data = job.validation.to(device="cpu", dtype=job.dtype)
    outputs = outputs_on(job.model.cpu(), data)
    p = probabilities(outputs, logarithms=spec.takes_log_probabilities)
    labels, measure = labels_of(data.y).numpy(), spec.threshold.replace("-", "_")
    return best_threshold(p, labels, _rarer(shares), measure)


def as_record(threshold: Threshold | None, classes: Sequence[str] | None) -> dict[str, Any] | None:
    """In the words of run.json."""
    if threshold is None or classes is None:
        return None
    return {
        "class": classes[threshold.of],
        "at": threshold.at,
        "measure": threshold.measure,
        "validation": threshold.reached,
        "likeliest": threshold.likeliest,
    }


def of_record(record: Mapping[str, Any] | None, classes: Sequence[str] | None) -> Threshold | None:
    """The threshold that a record holds.

    Raises:
        InputError: it is none of the classes.
    """
    if record is None:
        return None
    return given_threshold(f"{record['class']}={record['at']}", classes, None)


def _two(written: str | float, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is None or len(classes) != 2:
        there = "numbers are predicted" if classes is None else f"there are {len(classes)}"
        raise InputError(f"--threshold {quoted(written)}: is for two classes, and {there}")
    return tuple(classes)


def _rarer(shares: Sequence[float] | None) -> int:
    return 0 if shares is not None and shares[0] < shares[1] else 1
