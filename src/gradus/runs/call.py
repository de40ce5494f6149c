"""`gradus.train` and `gradus.resume`: a run from a spec, or from what the user has."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec

from gradus.data.arrays import KEYS
from gradus.data.streaming import USUAL_CACHE, Cache
from gradus.errors import InputError, quoted
from gradus.models.own import is_object, shown
from gradus.notebook import LINE_EVERY, cell_line
from gradus.runs import checkpoint
from gradus.runs.callbacks import Callbacks
from gradus.runs.keywords import known_keywords
from gradus.runs.lost import told_of_its_end
from gradus.runs.objects.asked import objects_of, with_groups
from gradus.runs.objects.given import Objects
from gradus.runs.objects.groups import Groups, recorded_groups
from gradus.runs.processes.taking_part import follows
from gradus.runs.progress_line import progress_line
from gradus.runs.record import Run, open_run
from gradus.runs.resume import resume as resume_named
from gradus.runs.spec import RunSpec, no_such_option
from gradus.runs.standing import CHECKPOINT
from gradus.runs.start import OF_THE_MODEL
from gradus.runs.table_defaults import is_svmlight, is_table
from gradus.runs.train import LOG, Observer, Shown, Tell
from gradus.runs.train import train as train_spec
from gradus.runs.words import as_call, check_path, in_words_of_the_call
from gradus.tracking import Track, tracking

P = ParamSpec("P")


def _of_one_pair(train: Callable[P, Run]) -> Callable[P, Run]:
    """The same, which says of ``train(X, y)`` that they are given as one."""

    @wraps(train)
    def checked(*args: P.args, **options: P.kwargs) -> Run:
        if len(args) > 1:
            raise InputError(
                f"train: takes the data alone without a name, not {len(args)} things; give (X, y) "
                "as one pair: gradus.train((X, y), ..)"
            )
        return train(*args, **options)

    return checked


@_of_one_pair
def train(
    data: Any,
    *,
    model: Any = None,
    loss: Any = None,
    method: Any = None,
    metrics: Any = None,
    validation: Any = None,
    test: Any = None,
    length: int | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    keep_state: bool = True,
    start: Run | None = None,
    freeze: Sequence[str] = (),
    data_dir: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | Literal[False] | None = None,
    observe: Observer | None = None,
    progress: Shown | Literal[False] | None = None,
    callbacks: Sequence[Any] = (),
    track: Track = (),
    tell: Tell = LOG,
    processes: int | None = None,
    parameters: Sequence[Mapping[str, Any]] = (),
    decay: str = "all",
    **options: Any,
) -> Run:
    """Train a model on data, and keep the record of the run.

    Every part is a name, as on the command line, or an object. What is given is not changed: of a
    module a copy is trained, and is ``.model`` of the run.

    The global random state is left as it was. A run that diverges, that ends no better than it
    began or than the best constant prediction (``failed``; one that goes on from another has the
    constant alone to beat), whose method cannot take its next step, or that is interrupted from
    the keyboard, is returned with what was recorded until then; ``status`` says so. While it lasts,
    checkpoints stand in ``out``, from which ``resume`` goes on.

    Args:
        data: a :class:`~gradus.RunSpec`, which says all of the run; or a pair ``(X, y)`` of arrays
            (NumPy, PyTorch) or a dict of them by the keys of an array file (``x``, ``y``,
            ``x_test``, ..); a ``torch.utils.data.Dataset`` whose examples are pairs, which is read
            once; a ``DataLoader``, whose order and workers are used as they are; a
            :class:`~gradus.data.Dataset` or :class:`~gradus.data.Split`; with ``length`` an
            iterable of batches, or a function of one, as one that yields them; a table of pyarrow,
            Polars or pandas, or a dict of columns, with ``target``; or a name or a path.
        model: a ``torch.nn.Module``, a function that makes one, or a name. For one of your own, the
            learning rate of SGD, gradient descent, Polyak or Nesterov is found by short trainings
            first where none is given, and ``tell`` told so, or ``logging`` as a warning.
        loss: a loss of gradus or of ``torch.nn``, any callable ``(output, target) -> scalar``, or
            a name. Zeros and ones are classes where ``BCEWithLogitsLoss`` takes one logit for them;
            ``NLLLoss`` takes log-probabilities, ``MultiMarginLoss`` scores, of integers as classes.
        method: an object of ``gradus.methods``, a ``Method`` of one's own, the class of a
            ``torch.optim.Optimizer`` or a ``functools.partial`` of it with its options, or a name;
            ``package.module:Class`` with ``method_options`` names one's own.
        metrics: figures of the validation and the test part after every epoch, by name, as
            ``"f1"``; or functions ``(output, target) -> number``, a dict of them by name, or
            :class:`~gradus.metrics.Metric`. ``measure="validation-NAME"`` compares epochs by one.
        validation: examples to choose on, as ``data`` (of a table a table, of a file a file, which
            are prepared as the rows that train were); else a share of the data is held.
        test: examples to test on, likewise.
        length: how many batches of an iterable are an epoch, each a pair of x and y.
        out: the folder of the record; None keeps it in memory only.
        overwrite: replace the record that the folder holds.
        keep_state: keep in ``out`` what the method remembers at its end too, so that ``resume``
            can go on with more epochs. It is as large as the parameters, once more for each thing
            that the method remembers of them, and once for those of the best epoch.
        start: a run to begin with the parameters of; rows go through its preparation, which is not
            fitted again. Options that say how columns are prepared and what the model is have to be
            its, where they are given.
        freeze: with ``start``, layers or parameters by name (``"1"``, ``"1.bias"``) that stay as
            they are.
        data_dir: where data sets that are not embedded are looked for first.
        cache: where the prepared rows of a table that is streamed are kept, for other runs on it;
            None: in the user's cache; False: they are kept no longer than the run takes.
        observe: called once with the job and the data, before the first step; what it returns is
            called with a :class:`~gradus.engine.job.Progress` after every recorded row, once its
            step is taken, and after every evaluation, in all engines alike. Where that returns
            ``"stop"`` the run ends there in good order: what it has is evaluated and recorded. What
            it raises is raised.
        progress: likewise, but called from time to time only, and whatever it returns: for a
            display. Without one a notebook shows a line below the cell; False: it does not.
        callbacks: functions, which are called with the run under way
            (:class:`~gradus.runs.callbacks.Underway`) after every recorded row and every epoch; or
            objects with any of ``on_start``, ``on_row``, ``on_epoch`` (called so) and ``on_end``
            (called with the run). One that returns ``"stop"`` ends the run in good order. A
            :class:`~gradus.Scheduler` moves the learning rate.
        track: trackers of experiments that follow the run: ``"tensorboard"``, ``"mlflow"``,
            ``"wandb"``, several of them, or a dict that says where each writes. One that fails is
            told no more, and the run goes on.
        tell: told, in one line each, what keeps the run from the native engine and what that costs,
            of a tracker that fails, and how the run was lost; by default that is logged by
            ``logging.getLogger("gradus")``, at the level INFO, and a lost run as a WARNING.
        processes: how many train the run, each its share of every batch; the others are started by
            this one, and end with it. None: those that ``torchrun`` has started, of which each
            calls this; else this one alone. The record is kept by the first.
        parameters: groups that are moved by options of their own, each a dict of the names of its
            layers or parameters and its options: ``{"names": ["0", "2.bias"], "lr": 0.01}``. The
            others have those of the method.
        decay: ``"weights"``: a weight decay is for parameters of two dimensions at least, not for
            biases and norms.
        **options: the fields of :class:`~gradus.RunSpec`: ``lr``, ``batch_size``, ``epochs``, ..

    Returns:
        The run: ``.history``, ``.evaluation``, ``.summary``, ``.model``, ``.plot()``.

    Raises:
        InputError: something is wrong, in one line: an option, an object, the data, or the folder;
            or the method cannot take its first step.

    Example:
        >>> import gradus, torch
        >>> x = torch.rand(200, 3)
        >>> layers = torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)
        >>> net = torch.nn.Sequential(*layers)
        >>> run = gradus.train((x, x.sum(1)), model=net, loss=torch.nn.MSELoss(),
        ...                    method=gradus.methods.Adam(0.01), epochs=30)
        >>> run.summary["final"]["test_loss"] < 0.02
        True
        >>> run = gradus.train(gradus.RunSpec(data="digits", method="adam", epochs=2))
        >>> run.summary["final"]["test_accuracy"] > 0.8
        True
    """
    if not isinstance(start, Run | None):
        raise InputError(f"start {quoted(start)}: give a run, as gradus.open_run(..) opens one")
    _check_functions(observe=observe, progress=progress, tell=tell)
    check_path("out", out)
    check_path("data_dir", data_dir)
    freeze = freeze.split(",") if isinstance(freeze, str) else freeze
    if not isinstance(freeze, Sequence) or not all(isinstance(each, str) for each in freeze):
        raise InputError(
            f"freeze={quoted(freeze)}: give the names of layers or parameters, as ['0', '1.bias']"
        )
    _check_names(options)
    objects = _given(model=model, loss=loss, method=method, metrics=metrics)
    parts = _given(validation=validation, test=test)
    kept: dict[str, Any] = {
        "out": out, "overwrite": overwrite, "keep_state": keep_state, "start": start,
        "freeze": freeze, "data_dir": data_dir, "cache": _cache(cache), "observe": observe,
        "progress": _shown(progress), "tell": _in_words(tell), "processes": processes,
    }  # fmt: skip
    called = _called(callbacks)
    if isinstance(data, RunSpec):
        if called.schedulers:
            raise InputError(
                "callbacks: a Scheduler stands in no RunSpec; give its options one by one"
            )
        if said := [*objects, *parts, *Groups(parameters, decay).options, *options]:
            raise InputError(f"{said[0]}: stands in the RunSpec; give it there")
        with in_words_of_the_call(), tracking(track, out, tell) as tracks:
            run = train_spec(data, **kept, callbacks=called.and_of(tracks))
        return run if follows(processes) else told_of_its_end(run, tell)
    with in_words_of_the_call():
        if called.schedulers:
            objects["schedule"] = called.schedulers[0].make
        groups = Groups(parameters, decay)
        if start is not None:
            options = {**_of_the_model(start, objects), **options}
        wanted, found = said_of({"data": data, **objects}, parts, options, groups, length)
        spec = RunSpec.read(wanted)
        with tracking(track, out, tell) as tracks:
            given = {name for name, value in wanted.items() if value is not None}
            moved = {**kept, "callbacks": called.and_of(tracks)}
            run = train_spec(spec, **moved, objects=found, given=given)
    return run if follows(processes) else told_of_its_end(run, tell)


@known_keywords(
    of_runs="stands in the record of the run, which goes on as it was begun; leave it out"
)
def resume(
    folder: str | os.PathLike[str],
    *,
    epochs: int | None = None,
    patience: int | None = None,
    keep_state: bool = True,
    data: Any = None,
    model: Any = None,
    loss: Any = None,
    method: Any = None,
    metrics: Any = None,
    validation: Any = None,
    test: Any = None,
    parameters: Sequence[Mapping[str, Any]] = (),
    decay: str = "all",
    trust: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | Literal[False] | None = None,
    observe: Observer | None = None,
    progress: Shown | Literal[False] | None = None,
    callbacks: Sequence[Any] = (),
    track: Track = (),
    tell: Tell = LOG,
    processes: int | None = None,
) -> Run:
    """Go on with a run that was broken off, as if it had not been: its record is the same.

    It goes on from its last checkpoint. A run that has ended is opened; with more epochs it goes
    on where it stood, and its record is that of all its epochs. Parameters are those of a run that
    had as many from the start, to the bit, unless the schedule of its learning rate depends on
    their number (cosine): it is stretched, and ``tell`` told so.

    A run that was trained on objects needs the same ones again, which are held against what its
    record says of them.

    Args:
        folder: the one that it was given as ``out``.
        epochs: in all, for a run that has ended.
        patience: likewise, of one that ended by its patience.
        keep_state: as for ``train``.
        data: those of the run, where they were an object.
        model: likewise; or that of the run, where it is ``package.module:factory``: it is imported
            only if it is named here, or trusted.
        loss: that of the run, where it was an object.
        method: likewise; or that of the run, where it is ``package.module:Class``. One of gradus
            whose parameters moved in groups is that of the record.
        metrics: those of the run that are functions.
        validation: likewise.
        test: likewise.
        parameters: likewise.
        decay: likewise.
        trust: whether the model may be imported whatever it is.
        data_dir: where data sets that are not embedded are looked for first.
        cache: as for ``train``.
        observe: as for ``train``.
        progress: as for ``train``.
        callbacks: likewise, but no ``Scheduler``.
        track: likewise; trackers are told what was recorded before, too.
        tell: told, in one line each, of checkpoints that are damaged, of a stretched schedule, and
            how the run was lost; by default that is logged, as for ``train``.
        processes: as for ``train``; as many as before, or not.

    Returns:
        The run.

    Raises:
        InputError: there is no such run, another process is training it, its data have changed, or
            it was written by a newer version of Gradus; or its model is code that was not named, or
            it was trained on objects that are not given. With more epochs: it was broken off, did
            not end well, or kept no state.

    Example:
        >>> import gradus, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> run = gradus.train(gradus.RunSpec(model="linear", epochs=1), out=folder.name)
        >>> gradus.resume(folder.name).status
        'finished'
        >>> gradus.resume(folder.name, epochs=3).evaluation["epoch"].to_pylist()
        [1, 2, 3]
        >>> folder.cleanup()
    """
    _check_functions(observe=observe, progress=progress, tell=tell)
    check_path("resume", folder, required=True)
    check_path("data_dir", data_dir)
    code = {"model": model, "method": method}
    code = {name: value for name, value in code.items() if isinstance(value, str)}
    objects = _given(data=data, model=model, loss=loss, method=method, metrics=metrics)
    objects = {name: value for name, value in objects.items() if name not in code}
    with in_words_of_the_call():
        is_of_arrays = isinstance(data, Mapping) and data.keys() <= set(KEYS)
        said, found = objects_of(objects, validation, test, has_target=not is_of_arrays)
        groups = Groups(parameters, decay)
        goes_on = epochs is not None or patience is not None
        found = _grouped_again(Path(folder), method, said, found, groups, goes_on=goes_on)
        with tracking(track, folder, tell) as tracks:
            run = resume_named(
                folder,
                epochs=epochs,
                patience=patience,
                keep_state=keep_state,
                **code,
                said=said,
                trust=trust,
                data_dir=data_dir,
                cache=_cache(cache),
                observe=observe,
                progress=_shown(progress),
                tell=_in_words(tell),
                objects=found,
                callbacks=_called(callbacks).and_of(tracks),
                processes=processes,
            )
    return run if follows(processes) else told_of_its_end(run, tell)


def _grouped_again(
    folder: Path,
    method: Any,
    said: Mapping[str, Any],
    found: Objects,
    groups: Groups,
    *,
    goes_on: bool,
) -> Objects:
    """The objects that a run goes on with, whose method has its groups again.

    Where the method is not given as an object, it is the one that the record says.

    Raises:
        InputError: the run had other groups, or another method.
    """
    known = _recorded_objects(folder)
    if known is None:
        return found
    recorded, has_ended = known
    identity = recorded.get("method")
    named, had = recorded_groups(identity or {})
    if had and not groups.options and (goes_on or not has_ended):
        words = ", ".join(f"{name}={quoted(value, 80)}" for name, value in had.items())
        raise InputError(f"{folder}: its parameters moved in groups; give them again, as {words}")
    if not groups.options:
        return found
    if found.method is None and "method" not in said:
        if identity is None:
            name = next(iter(groups.options))
            raise InputError(
                f"{name}: {folder} was begun without groups; leave {name} out, or give method=.. "
                "as an object if it was one"
            )
        if named is None:
            return found
        again, of_method = objects_of({"method": named})
        if isinstance(method, str) and method != again.get("method"):
            raise InputError(
                f"method={quoted(method)}: {folder} was trained by {identity['name']}; leave it out"
            )
        identities = {**found.identities, **of_method.identities}
        found = replace(found, method=of_method.method, identities=identities)
        said = {**said, **again}
    return with_groups(said, found, groups)[1]


def _recorded_objects(folder: Path) -> tuple[Mapping[str, Any], bool] | None:
    """What identifies the objects of a run, by its record or its checkpoint; whether it ended.

    None where neither can be read, which is said by who goes on with it.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        return checkpoint.beginning(folder / CHECKPOINT).objects, False
    with suppress(InputError):
        run = open_run(folder)
        return run.summary.get("objects", {}), run.status != "interrupted"
    return None


def _cache(given: str | os.PathLike[str] | Literal[False] | None) -> Cache:
    """Where the prepared rows of a table that is streamed lie."""
    if given is False:
        return Cache(stays=False)
    check_path("cache", given)
    return USUAL_CACHE if given is None else Cache(Path(given))


def _of_the_model(start: Run, objects: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say what the model of a run is, where no other is given.

    Raises:
        InputError: it was an object, which has to be given again.
    """
    if "model" in objects:
        return {}
    if is_object(start.spec.model):
        raise InputError(
            f"start {start.title}: its model, {shown(start.spec.model)}, was an object; give it "
            "again as model=.., or run.model alone, without start, which begins where that ended"
        )
    named = {name: getattr(start.spec, name) for name in OF_THE_MODEL}
    return {name: value for name, value in named.items() if value is not None}


def asked(
    given: Mapping[str, Any],
    parts: Mapping[str, Any],
    options: Mapping[str, Any],
    groups: Groups,
) -> tuple[RunSpec, Objects]:
    """The spec of what is asked for, and the objects that it only identifies."""
    said, found = said_of(given, parts, options, groups)
    return RunSpec.read(said), found


def said_of(
    given: Mapping[str, Any],
    parts: Mapping[str, Any],
    options: Mapping[str, Any],
    groups: Groups,
    length: int | None = None,
) -> tuple[dict[str, Any], Objects]:
    """The options that say what is asked for, and the objects that they only identify."""
    data = given["data"]
    if isinstance(data, os.PathLike):
        data = os.fspath(data)
    if isinstance(data, str) and parts:
        if not is_table(data) and not is_svmlight(data):
            raise InputError(f"{next(iter(parts))}: {quoted(data)} says itself what its parts are")
        options, parts = {**_files(parts), **options}, {}
    if isinstance(data, str) and length is not None:
        raise InputError(f"length={quoted(length)}: is of an iterable of batches; leave it out")
    has_target = options.get("target") is not None
    named, found = objects_of(
        {**given, "data": data}, **parts, has_target=has_target, length=length
    )
    if twice := sorted(named.keys() & options.keys()):
        name = twice[0]
        raise InputError(
            f"{name}={quoted(options[name])}: an object says that already, as "
            f"{quoted(shown(str(named[name])))}; leave one of them out"
        )
    said = {**named, **options}
    if groups.options:
        said, found = with_groups(said, found, groups)
    return said, found


def _files(parts: Mapping[str, Any]) -> dict[str, str]:
    """The files of parts, where the data are a file: nothing else goes with it."""
    for name, part in parts.items():
        if not isinstance(part, str | os.PathLike):
            raise InputError(
                f"{name}: a {type(part).__name__}, where the data are a file; give a file too"
            )
    return {name: os.fspath(part) for name, part in parts.items()}


def _in_words(tell: Tell) -> Tell:
    """The same, told in the words of the call."""
    return tell if tell is LOG else (lambda message: tell(as_call(message)))


def _shown(progress: Shown | Literal[False] | None) -> Shown | None:
    """What is given; of a notebook, if nothing is, the line below the cell."""
    if progress is not None:
        return progress or None
    line = cell_line()
    if line is None:
        return None
    return lambda job, split: progress_line(job, line, LINE_EVERY)


def _check_names(options: Mapping[str, Any]) -> None:
    """Refuse an option that neither a spec nor a call has."""
    for name in options.keys() - RunSpec.model_fields.keys():
        raise InputError(as_call(no_such_option(name, {**RunSpec.model_fields, **_keywords()})))


def _keywords() -> Mapping[str, Any]:
    """What a call takes beside the options of a spec."""
    parameters = inspect.signature(train).parameters
    return {name: each for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}


def _check_functions(**given: Any) -> None:
    for name, each in given.items():
        is_off = each is None or (name == "progress" and each is False)
        if not is_off and not callable(each):
            taken = "(message)" if name == "tell" else "(job, split)"
            raise InputError(f"{name}={quoted(each, 60)}: give a function {taken}")


def _called(callbacks: Sequence[Any]) -> Callbacks:
    if not isinstance(callbacks, list | tuple):
        alone = Callbacks((callbacks,))
        raise InputError(f"callbacks: a {type(alone.given[0]).__name__}; give a list of them")
    return Callbacks(tuple(callbacks))


def _given(**objects: Any) -> dict[str, Any]:
    return {name: value for name, value in objects.items() if value is not None}
