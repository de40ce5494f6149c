"""What an examination finds, as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gradus.diagnosis.evidence import Evidence

State = Literal["confirmed", "possible"]

LEVEL, ERRORS = 0.99, 3.0
"""A difference is beyond noise if it is more than this quantile of Student's t of its standard
error, and more than so many standard errors."""


@dataclass(frozen=True)
class Figure:
    """A number that speaks for a cause, and what it is held against.

    Attributes:
        name: as ``lr · λ_max``.
        value: what was measured.
        limit: what it should not pass, in words with the number, as ``below 2``; empty where there
            is no such.
        step: where in the run it was measured; None where it is not of a step.
    """

    name: str
    value: float
    limit: str = ""
    step: int | None = None

    def __str__(self) -> str:
        """As one reads it.

        Example:
            >>> print(Figure("lr · λ_max", 3.13, "below 2 for gradient descent", 37))
            lr · λ_max = 3.13 at step 37; below 2 for gradient descent
        """
        where = "" if self.step is None else f" at step {self.step:,}"
        limit = f"; {self.limit}" if self.limit else ""
        return f"{self.name} = {self.value:.3g}{where}{limit}"


@dataclass(frozen=True)
class Experiment:
    """An intervention: the same training twice, but for one thing.

    Losses are told as shares of the loss of the best constant prediction (of the loss before the
    first step, where that is not known), at most 2: a run that diverges counts as 2.

    Attributes:
        changed: what, in words.
        measure: which loss was compared, as ``training loss``.
        steps: that each of both trained for, of the run's own.
        pairs: how many times both were trained, each time from another seed.
        before: the mean loss without the change.
        after: the mean loss with it.
        difference: the mean over pairs of what the change takes off the loss.
        standard_error: of that difference, over pairs and over examples; infinite where there was
            time for one pair alone.
        beside: what it was held against.
        freedom: degrees of freedom of the standard error (Welch, 1947): next to those of the pairs
            where these differ more than examples do.
    """

    changed: str
    measure: str
    steps: int
    pairs: int
    before: float
    after: float
    difference: float
    standard_error: float
    beside: str = "the same without"
    freedom: float = math.inf

    @property
    def noise(self) -> float:
        """What noise alone may make of the difference."""
        from scipy.special import stdtrit

        errors = ERRORS
        if math.isfinite(self.freedom):
            errors = max(errors, float(stdtrit(self.freedom, LEVEL)))
        return errors * self.standard_error

    @property
    def exceeds_noise(self) -> bool:
        """Whether the difference is more than noise alone makes.

        Example:
            >>> told = "lr 0.1 in place of 10", "training loss", 100, 2, 0.9, 0.5, 0.4, 0.02
            >>> Experiment(*told).exceeds_noise, Experiment(*told, freedom=1.0).exceeds_noise
            (True, False)
        """
        return self.difference > self.noise

    def __str__(self) -> str:
        times = "once" if self.pairs == 1 else f"{self.pairs} times"
        is_known = math.isfinite(self.standard_error)
        error = f" ± {100 * self.standard_error:.2g}" if is_known else ""
        return (
            f"{self.changed}, trained {times} for {self.steps:,} steps beside {self.beside}: "
            f"the {self.measure} is {_share(self.after)} of that of the best constant prediction, "
            f"against {_share(self.before)} ({100 * self.difference:.3g}{error} points)"
        )


@dataclass(frozen=True)
class Remedy:
    """What mends it.

    Attributes:
        command: to be copied and run; None where the command line cannot say it.
        call: the same in Python, or what to change there, in words.
    """

    command: str | None
    call: str


@dataclass(frozen=True)
class Finding:
    """One cause.

    Attributes:
        cause: its name.
        state: ``confirmed`` by an experiment; else ``possible``.
        sentence: the verdict, for a beginner.
        figures: what was measured.
        experiment: what was tried, None where nothing was.
        remedy: what mends it.
        page: of the documentation that explains it, as ``docs/ideas/descent.md`` in the sources.
    """

    cause: str
    state: State
    sentence: str
    figures: tuple[Figure, ...]
    experiment: Experiment | None
    remedy: Remedy
    page: str

    @property
    def gain(self) -> float:
        """What undoing the cause takes off the loss, as a share of what knowing nothing has."""
        return 0.0 if self.experiment is None else self.experiment.difference

    @property
    def read(self) -> str:
        """Where it is explained, in words: an installed package has no pages."""
        return f"“{Path(self.page).stem.capitalize()}”, among the ideas of the documentation"

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        experiment = None
        if (e := self.experiment) is not None:
            error = _number(e.standard_error)
            found = {"standard_error": error, "freedom": _number(e.freedom)}
            experiment = vars(e) | found | {"exceeds_noise": e.exceeds_noise}
        return {
            "cause": self.cause,
            "state": self.state,
            "sentence": self.sentence,
            "figures": [vars(figure) | {"value": _number(figure.value)} for figure in self.figures],
            "experiment": experiment,
            "gain": self.gain,
            "remedy": vars(self.remedy),
            "page": self.page,
        }


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, if anything.

    Attributes:
        run: what was examined, in words.
        status: how the run ended; of one that was not trained before, how its trial did.
        findings: confirmed causes in the order of what undoing them gains, then possible ones.
        looked_for: the names of all causes that were looked for.
        notes: what limits the examination, a line each.
        seconds: how long it took.
        evidence: what was measured, for the page.

    Example:
        >>> import gradus
        >>> run = gradus.train(gradus.RunSpec(model="linear", lr=0.5, epochs=20))
        >>> found = gradus.diagnose(run)
        >>> found.healthy, found.findings
        (True, ())
    """

    run: str
    status: str
    findings: tuple[Finding, ...]
    looked_for: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def confirmed(self) -> tuple[Finding, ...]:
        """What an experiment has shown."""
        return tuple(each for each in self.findings if each.state == "confirmed")

    @property
    def possible(self) -> tuple[Finding, ...]:
        """What is suspected, and was not shown."""
        return tuple(each for each in self.findings if each.state == "possible")

    @property
    def healthy(self) -> bool:
        """Whether the run ended well and nothing was confirmed."""
        return self.status == "finished" and not self.confirmed

    @property
    def verdict(self) -> str:
        """The whole in a sentence.

        Example:
            >>> Diagnosis("digits", "finished", (), ("learning rate too high",), (), 1.0).verdict
            'nothing found: 1 cause was looked for'
            >>> Diagnosis("digits", "diverged", (), ("learning rate too high",), (), 1.0).verdict
            'cannot tell: the run diverged, and no cause of those looked for (1) explains it'
        """
        if self.confirmed:
            return f"confirmed: {_listed([each.cause for each in self.confirmed])}"
        if self.possible:
            return f"possible: {_listed([each.cause for each in self.possible])}; not confirmed"
        looked = len(self.looked_for)
        if self.status != "finished":
            return (
                f"cannot tell: the run {self.status}, and no cause of those looked for ({looked}) "
                "explains it"
            )
        return f"nothing found: {looked} cause{' was' if looked == 1 else 's were'} looked for"

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "run": self.run,
            "status": self.status,
            "verdict": self.verdict,
            "healthy": self.healthy,
            "findings": [each.as_dict() for each in self.findings],
            "looked_for": list(self.looked_for),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        lines = [f"{self.run}: {self.verdict}"]
        for finding in self.findings:
            lines += ["", f"{finding.cause} ({finding.state})", f"  {finding.sentence}"]
            lines += [f"  {figure}" for figure in finding.figures]
            if finding.experiment is not None:
                lines.append(f"  tried: {finding.experiment}")
            mends = finding.remedy.command or finding.remedy.call
            lines += [f"  mend it: {mends}", f"  read: {finding.read}"]
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _share(value: float) -> str:
    return "200 % or more" if value >= 1.995 else f"{100 * value:.3g} %"


def _number(value: float) -> float | None:
    """What JSON has no number for is null."""
    return value if math.isfinite(value) else None
