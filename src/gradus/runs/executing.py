"""How a run is executed: what goes wrong on its way is said in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from gradus.engine import choose
from gradus.engine.job import Job, Outcome, Report
from gradus.engine.snapshot import Course
from gradus.errors import InputError, OwnCodeError, ProcessLostError
from gradus.models.own import is_users, told
from gradus.runs.spec import RunSpec
from gradus.runs.standing import CHECKPOINT
from gradus.runs.summary import as_options

Given = ParamSpec("Given")
Result = TypeVar("Result")


class ObserverError(Exception):
    """Carries what an observer raised past what is said of methods and models."""

    def __init__(self, raised: Exception) -> None:
        self.raised = raised


def told_apart(called: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same observer or callback, whose errors are known as its own."""

    @wraps(called)
    def observed(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return called(*given, **named)
        except Exception as error:
            raise ObserverError(error) from error

    return observed


def execute(
    spec: RunSpec, engine: choose.Chosen, job: Job, report: Report, course: Course
) -> Outcome:
    """Run the job on an engine.

    Raises:
        InputError: the method, the user's own code, or what writes its checkpoints fails.
    """
    try:
        with own_code_of(spec):
            return choose.execute(engine, job, report, course)
    except ObserverError as error:
        raise error.raised from None
    except (OwnCodeError, ProcessLostError):
        raise
    except InputError as error:
        raise InputError(f"--method {spec.method}: {as_options(str(error))}") from None
    except OSError as error:
        if error.filename is None or f"/{CHECKPOINT}/" not in str(error.filename):
            raise
        raise InputError(
            f"{error.filename}: the checkpoint cannot be written: {error.strerror}; go on with "
            f"--resume {Path(error.filename).parent.parent} once it can"
        ) from None


@contextmanager
def own_code_of(spec: RunSpec) -> Iterator[None]:
    """Within, what code of the user's own raises is one line, that names it.

    Raises:
        OwnCodeError: it fails.
    """
    try:
        yield
    except (InputError, ObserverError, OSError):
        raise
    except (Exception, SystemExit) as error:
        own = [name for name in ("method", "model") if is_users(getattr(spec, name))]
        if not own:
            raise
        said = f"--{own[0]} {getattr(spec, own[0])}: failed in training: {told(error)}"
        raise OwnCodeError(said) from error
