"""`gradus.diagnose`: a run, its folder, or what would be one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradus.data.arrays import KEYS
from gradus.diagnosis.case import Case, case_of
from gradus.diagnosis.examination import examine
from gradus.diagnosis.findings import Diagnosis
from gradus.errors import InputError, quoted
from gradus.runs.call import asked
from gradus.runs.job import load_for, resolved
from gradus.runs.objects.asked import objects_of
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.objects.groups import Groups
from gradus.runs.record import Run, open_run
from gradus.runs.recorded import RecordedRun
from gradus.runs.spec import RunSpec
from gradus.runs.words import in_words_of_the_call


def diagnose(
    run: Run | RunSpec | str | os.PathLike[str] | None = None,
    *,
    budget: float | None = None,
    data: Any = None,
    model: Any = None,
    loss: Any = None,
    method: Any = None,
    validation: Any = None,
    test: Any = None,
    trust: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    tell: Callable[[str], None] = lambda message: None,
    **options: Any,
) -> Diagnosis:
    """Say why a run diverged, crawled or learned nothing, or that it is healthy, by experiments.

    The run is repeated, and looked at on its way. For each cause that something speaks for, the
    same training is done with one thing changed, beside itself without, for several seeds. A cause
    is confirmed only if undoing it lowers the loss by more than three standard errors of the paired
    difference, and by enough to matter.

    Args:
        run: a run, the folder of its record, or a ``RunSpec``; None to examine what would be
            trained with ``data``, ``model``, ``loss``, ``method`` and ``options``.
        budget: seconds that it may take; None for twice as long as the run took,
            and at least 10, or 30 where it is lost.
        data: as for :func:`gradus.train`; of a run that was trained on objects and was opened from
            its record, the same objects again.
        model: likewise; or the name of that of the run, where it is ``package.module:factory``.
        loss: likewise.
        method: likewise.
        validation: likewise.
        test: likewise.
        trust: whether the code that the record of a run names may be imported.
        data_dir: where data sets that are not embedded are looked for first.
        tell: told, in a line each, what is being done.
        **options: the fields of :class:`~gradus.RunSpec`, where nothing was trained yet.

    Returns:
        ``.findings``, of which each has a sentence, its figures, its experiment and its remedy;
        ``.verdict``, ``.healthy``, ``.as_dict()``.

    Raises:
        InputError: there is no such run, or it cannot be repeated: its data have changed, it was
            trained on objects that are not given or by code that is not named, or it went on from
            another.

    Example:
        >>> import gradus
        >>> run = gradus.train(gradus.RunSpec(model="linear", lr=1e-7, epochs=3))
        >>> found = gradus.diagnose(run)
        >>> found.verdict
        'confirmed: learning rate too low'
        >>> found.findings[0].remedy.call.startswith("run.train(lr=")
        True

    Source: Cohen et al. (2021), "Gradient descent on neural networks typically occurs at the edge
        of stability", for why no figure alone is a verdict.
    """
    if not isinstance(run, Run | RunSpec | str | os.PathLike | None):
        raise InputError(
            f"diagnose {quoted(run, 60)}: give a run, the folder of its record, or a RunSpec; or "
            "data=.., model=.., loss=.., method=.. without one"
        )
    if budget is not None and not (isinstance(budget, int | float) and budget > 0):
        raise InputError(f"budget={quoted(budget)}: give a number of seconds, as 30")
    given = {"data": data, "model": model, "loss": loss, "method": method}
    given = {name: value for name, value in given.items() if value is not None}
    parts = {"validation": validation, "test": test}
    parts = {name: value for name, value in parts.items() if value is not None}
    if isinstance(run, str | os.PathLike):
        run = open_run(run, model=given.get("model"), trust=trust)
    if isinstance(run, RunSpec):
        return examine(_case(run, NO_OBJECTS, data_dir), budget, tell)
    with in_words_of_the_call():
        if run is None or isinstance(run, RecordedRun):
            if "data" not in given:
                raise InputError("data: say on what: the data, or a run that was trained on them")
            spec, objects = asked(given, parts, options, Groups((), "all"))
            return examine(_case(spec, objects, data_dir), budget, tell)
        if options:
            raise InputError(f"{next(iter(options))}: stands in the run; leave it out")
        objects = NO_OBJECTS
        as_objects = {name: each for name, each in given.items() if not isinstance(each, str)}
        if as_objects or parts:
            is_of_arrays = isinstance(data, dict) and data.keys() <= set(KEYS)
            _, objects = objects_of(as_objects, validation, test, has_target=not is_of_arrays)
            objects.check_same(run.spec, run.folder or Path(run.title))
        return examine(case_of(run, objects, data_dir), budget, tell)


def _case(spec: RunSpec, objects: Objects, data_dir: str | os.PathLike[str] | None) -> Case:
    """The case of what was not trained yet."""
    objects = objects.named_by(spec)
    split = load_for(spec, data_dir, objects=objects)
    if split.order is not None:
        raise InputError("data: the order of a DataLoader cannot be repeated; give its dataset")
    automatic = dict.fromkeys(spec.auto)
    return Case(resolved(spec, split), split, objects, automatic=automatic)
