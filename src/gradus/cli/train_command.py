"""`gradus train`: one run, from its options to its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradus.cli.exit_codes import EXIT_CODES, WRONG, warn
from gradus.cli.options import RunCommand, cache_option, data_dir_option, no_cache_option
from gradus.errors import InputError, ProcessLostError, quoted
from gradus.importing import without_collection
from gradus.runs.processes.taking_part import check_folder, follows
from gradus.tracking import tracking

if TYPE_CHECKING:
    from gradus.data.streaming import Cache
    from gradus.exchange.live import Tracking
    from gradus.runs.callbacks import Callbacks
    from gradus.runs.record import Run
    from gradus.runs.spec import RunSpec

TRAIN_EXAMPLES = """\b
Examples:
  gradus train                                   the embedded digits
  gradus train --lr 0.1 --momentum 0.9 --epochs 5
  gradus train --lr auto                         the learning rate found by short trainings first
  gradus train fashion-mnist --method adam --batch-size 64
  gradus train houses.csv --target price         a table of your own
  gradus train clicks/ --target bought --stream  files that are larger than the memory
  gradus train photos/ --image-size 64           images, one folder a class
  gradus train digits --model mynet:make         the function make in mynet.py
  gradus train --spec run.toml --seed 1          a file, with changes
  gradus train --spec sweeps/digits-sgd-1        the best configuration of a sweep, once more
  gradus train new.csv --from runs/houses-adamw-1 --lr 0.0001    from the parameters of another
  gradus train --processes 2                     by two processes, each its share of a batch
  gradus train --resume runs/digits-sgd-1        a run that was broken off
  gradus train --resume runs/digits-sgd-1 --epochs 40    more epochs for one that was not
"""


@click.command(cls=RunCommand, epilog=TRAIN_EXAMPLES, short_help="Fit a model to data.")
@click.option(
    "--spec",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="read options from a TOML file, a run.json, or the folder of a run or a sweep: of that, "
    "those of its best configuration",
)
@data_dir_option
@cache_option
@no_cache_option
@click.option(
    "--out", type=click.Path(path_type=Path), help="folder of the record: runs/DATA-METHOD-N"
)
@click.option("--overwrite", is_flag=True, help="replace the record that --out holds")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="go on with the run of this folder, which was broken off; or, with --epochs, has ended",
)
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="begin with the parameters and the options of this run; rows are prepared as its were",
)
@click.option(
    "--freeze", metavar="A,B,..", help="layers or parameters of --from that stay as they are"
)
@click.option(
    "--no-state",
    is_flag=True,
    help="keep nothing that --resume with more --epochs could go on from",
)
@click.option(
    "--track",
    metavar="A,B",
    help="trackers that follow the run: tensorboard (into the folder of the record), mlflow "
    "(mlflow.db, or $MLFLOW_TRACKING_URI), wandb (offline, or as $WANDB_MODE says)",
)
@click.option(
    "--processes",
    type=int,
    metavar="K",
    help="train by so many processes of this machine, each of which takes its share of every "
    "batch; under torchrun they are those that it starts",
)
@click.option(
    "--trust", is_flag=True, help="import the model that --spec or --resume names, whatever it is"
)
@click.option("--quiet", is_flag=True, help="print nothing but the path of the record")
def train(
    spec: Path | None,
    data_dir: Path | None,
    cache: Path | None,
    no_cache: bool,
    out: Path | None,
    overwrite: bool,
    resume: Path | None,
    start: Path | None,
    freeze: str | None,
    no_state: bool,
    track: str | None,
    processes: int | None,
    trust: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Fit a model to DATA, record what happens, and draw the loss curve.

    DATA is digits (embedded, the default), fashion-mnist, mnist, or a file or folder of your own:
    a table (with --target) as CSV, Parquet, Arrow, JSON lines or Excel; sparse rows as svmlight, or
    a matrix of SciPy in .npz (with --target y.npy); arrays as .npz, or as .npy
    (with --target the .npy file of their targets); images in one folder a class; or the four IDX
    files of an image set.
    """
    if follows(processes):
        return _follow(data_dir)
    as_guessed = not any(given[name] for name in ("separator", "decimal", "missing_values"))
    at_once = resume is spec is start is None and as_guessed and not given["stream"]
    reads = at_once and _reads_ahead(given["data"])
    with without_collection():
        from gradus.cli import run_report as report
        from gradus.runs.spec import RunSpec
        from gradus.runs.train import train as train_run

        if reads:
            import matplotlib.figure  # noqa: F401  # draws at the end: what would wait imports it

    from gradus.data.streaming import Cache

    options = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        code = {name: options.pop(name, None) for name in ("model", "method")}
        others = {"spec": spec, "out": out, "overwrite": overwrite or None, **options}
        others |= {"from": start, "freeze": freeze}
        return _resume(
            *(resume, others, data_dir, quiet),
            cache=Cache(cache, not no_cache),
            code=code,
            trust=trust,
            keep_state=not no_state,
            track=track,
            processes=processes,
        )
    tell = (lambda message: None) if quiet else warn
    begins: dict[str, Any] = {"freeze": tuple(freeze.split(",")) if freeze else (), "tell": tell}
    if start is not None:
        if spec is not None:
            raise InputError(f"--from {start}: has its options from there; leave out --spec")
        run_spec, begins["start"] = _options_of(start, options, trust=trust)
    elif spec is not None:
        run_spec = _options_in(spec, options, tell, trust=trust)
        begins["given"] = _given_in(spec, options)
    else:
        run_spec, begins["given"] = RunSpec.read(options), options
    if out is None:
        check_folder(processes)
    with _fresh_folder(run_spec) if out is None else nullcontext(out) as folder:
        kept: dict[str, Any] = {
            "out": folder, "overwrite": overwrite, "keep_state": not no_state,
            "data_dir": data_dir, "cache": Cache(cache, not no_cache), "processes": processes,
            **begins,
        }  # fmt: skip
        with _tracking(track, folder) as tracks:
            kept["callbacks"] = _callbacks(tracks)
            if quiet:
                run = train_run(run_spec, **kept)
            else:
                with report.Live() as live:
                    kept |= {"progress": live.progress, "finding": live.finding}
                    run = train_run(run_spec, reading=live.reading, **kept)
        _draw(run)
        if quiet:
            click.echo(folder)
            report.ending(run)
        else:
            report.close(run, {} if tracks is None else tracks.seen)
    return EXIT_CODES[run.status]


@contextmanager
def _tracking(track: str | None, folder: Path) -> Iterator[Tracking | None]:
    """Within, trackers follow a run, if any do."""
    with tracking(track or (), folder, warn) as tracks:
        yield tracks


def _callbacks(tracks: Tracking | None) -> Callbacks | None:
    """The trackers that follow a run, if any do."""
    if tracks is None:
        return None
    from gradus.runs.callbacks import Callbacks

    return Callbacks((tracks,))


def _follow(data_dir: Path | None) -> int:
    """Train with the process that keeps the record, and leave it to that one to speak."""
    from gradus.runs.processes.group import joined, of_environment
    from gradus.runs.train import join

    try:
        with joined(of_environment) as processes:
            return EXIT_CODES[join(processes, data_dir=data_dir).status]
    except ProcessLostError as error:
        if error.is_said:
            return WRONG
        raise


def _reads_ahead(data: str | None) -> bool:
    """Begin to read a table while torch is imported, which takes as long; whether it is one."""
    from gradus.data.reading import SUFFIXES, reading_ahead
    from gradus.data.streaming import exceeds_memory

    if data is None or not data.lower().endswith(SUFFIXES) or not Path(data).is_file():
        return False
    if exceeds_memory(Path(data)):
        return False
    click.get_current_context().with_resource(reading_ahead(Path(data)))
    return True


def _resume(
    folder: Path,
    others: dict[str, Any],
    data_dir: Path | None,
    quiet: bool,
    *,
    cache: Cache,
    code: Mapping[str, str | None],
    trust: bool,
    keep_state: bool,
    track: str | None,
    processes: int | None,
) -> int:
    """Go on with the run of a folder."""
    from gradus.cli import run_report as report
    from gradus.runs.choices import flag
    from gradus.runs.further import CHANGES
    from gradus.runs.resume import resume

    changes = {name: _whole(name, others.pop(name)) for name in CHANGES if name in others}
    for name, value in others.items():
        if value is not None:
            option = str(value) if name == "data" else flag(name)
            raise InputError(
                f"--resume {folder}: goes on with the run as it was specified; leave out {option}"
            )

    started = time.time()
    with (
        _tracking(track, folder) as tracks,
        nullcontext() if quiet else report.Live() as live,
    ):
        progress = None if live is None else live.progress
        run = resume(
            folder,
            epochs=changes.get("epochs"),
            patience=changes.get("patience"),
            keep_state=keep_state,
            model=code["model"],
            method=code["method"],
            trust=trust,
            data_dir=data_dir,
            cache=cache,
            progress=progress,
            reading=(lambda what, done, of: None) if live is None else live.reading,
            tell=warn,
            callbacks=_callbacks(tracks),
            processes=processes,
        )
    if (folder / "run.json").stat().st_mtime < started:
        warn(f"{folder}: this run has ended already, as {run.status}")
        return EXIT_CODES[run.status]
    _draw(run)
    if quiet:
        click.echo(folder)
        report.ending(run)
    else:
        report.close(run, {} if tracks is None else tracks.seen)
    return EXIT_CODES[run.status]


def _options_of(folder: Path, changes: Mapping[str, Any], *, trust: bool) -> tuple[RunSpec, Run]:
    """The spec of a run with some changes, and the run."""
    from gradus.runs.record import open_run
    from gradus.runs.spec import RunSpec

    run = open_run(folder, model=changes.get("model"), trust=trust)
    return RunSpec.read_file(folder / "run.json", changes, trust=trust, tell=warn), run


def _options_in(
    path: Path, changes: Mapping[str, Any], tell: Callable[[str], None], *, trust: bool
) -> RunSpec:
    """The spec that a file holds, or the record of a run or of a sweep, with some changes."""
    from gradus.runs.spec import RunSpec

    if path.is_file():
        return RunSpec.read_file(path, changes, trust=trust, tell=tell)
    if (path / "run.json").exists():
        return RunSpec.read_file(path / "run.json", changes, trust=trust, tell=tell)
    if not path.is_dir() and path.suffix in (".toml", ".json"):
        raise InputError(f"{path}: no such file; give a TOML file or a run.json")
    return _best_of(path, changes, tell, trust=trust)


def _given_in(path: Path, changes: Mapping[str, Any]) -> set[str] | None:
    """The options that a TOML file and the command give; None of a record, which says all."""
    from gradus.runs.files import read_toml

    if not path.is_file() or path.suffix == ".json":
        return None
    return {name.replace("-", "_") for name in dict(read_toml(path)[1])} | changes.keys()


def _best_of(
    path: Path, changes: Mapping[str, Any], tell: Callable[[str], None], *, trust: bool
) -> RunSpec:
    """The spec of the best configuration of a sweep, with some changes; it says which that is."""
    from gradus.figures.choice_notes import choice
    from gradus.models.own import check_named
    from gradus.runs.again import again
    from gradus.sweep.folder import folder_of
    from gradus.sweep.sweep import open_sweep

    folder = folder_of(path)
    if not (folder / "sweep.toml").exists():
        there = "holds neither run.json nor sweep.toml" if folder.is_dir() else "does not exist"
        raise InputError(
            f"--spec {path}: {folder} {there}; give a TOML file, a run.json, or the folder of a "
            "run or a sweep"
        )
    sweep = open_sweep(folder)
    best = sweep.best()
    spec, said = again(best.spec, best.summary.get("auto") or (), changes, where=f"{folder}: ")
    for option in ("model", "method"):
        named = [str(changes.get(option))]
        check_named([getattr(spec, option)], folder, named=named, trust=trust, option=option)
    if (found := choice(sweep)) is not None:
        tell(f"{folder}: {found.taken}")
    if said is not None:
        tell(said)
    return spec


def _whole(name: str, given: str) -> int:
    """An option that is a whole number of one at least."""
    if not given.isdecimal() or int(given) < 1:
        raise InputError(f"--{name} {quoted(given)}: must be a whole number, 1 at least")
    return int(given)


def _draw(run: Run) -> None:
    """Leave a picture of what the model says of the test part in the folder, of the user's data."""
    from gradus.runs.table_defaults import prepared_by_default

    if prepared_by_default(run.spec.data, run.spec.stream) is not None:
        from gradus.figures.run.pictures import draw_overview

        draw_overview(run)


@contextmanager
def _fresh_folder(spec: RunSpec) -> Iterator[Path]:
    """The first of runs/DATA-METHOD-1, -2, .. that nobody has, taken at once.

    It is given back where no run comes to stand in it.
    """
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    for n in count(1):
        method = spec.method.replace(":", ".").rpartition(".")[2]
        folder = runs / f"{Path(spec.data).absolute().stem}-{method}-{n}"
        try:
            folder.mkdir()
            break
        except FileExistsError:
            continue
    try:
        yield folder
    except BaseException:
        for empty in (folder, runs):
            with suppress(OSError):
                empty.rmdir()
        raise
