"""The command line: `gradus train`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from gradus._version import __version__
from gradus.errors import InputError

if TYPE_CHECKING:
    from gradus.runs.spec import RunSpec

DONE, WRONG, ENDED_EARLY, INTERRUPTED = 0, 2, 3, 130
EXIT_CODES = {
    "finished": DONE,
    "diverged": ENDED_EARLY,
    "stopped": ENDED_EARLY,
    "interrupted": INTERRUPTED,
}

TRAIN_EXAMPLES = """\b
Examples:
  gradus train                                   the embedded digits
  gradus train --lr 0.1 --momentum 0.9 --epochs 5
  gradus train fashion-mnist --method adam --batch-size 64
  gradus train houses.csv --target price --standardize --lr 0.01
  gradus train digits --model mynet:make         the function make in mynet.py
  gradus train --spec run.toml --seed 1          a file, with changes
  gradus train --resume runs/digits-sgd-1        a run that was broken off
"""


class SchemaCommand(click.Command):
    """A command whose options are the fields of RunSpec.

    The schema is read when the command is used, not when it is listed: ``gradus --help`` imports
    neither pydantic nor torch.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The argument DATA, an option for every other field, and the command's own options."""
        from gradus.runs.spec import RunSpec

        data = click.Argument(["data"], required=False)
        options = [_option(name) for name in RunSpec.model_fields if name != "data"]
        return [data, *options, *super().get_params(ctx)]


@click.group(invoke_without_command=True)
@click.version_option(__version__, prog_name="gradus")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Minimise empirical risks by taking steps, and see what the steps do.

    \b
    Examples:
      gradus train                       train on the embedded digits, and draw the loss curve
      gradus train fashion-mnist         the classical job
      gradus train --help                every option
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@cli.command(cls=SchemaCommand, epilog=TRAIN_EXAMPLES, short_help="Fit a model to data.")
@click.option(
    "--spec", type=click.Path(path_type=Path), help="read options from a TOML file or a run.json"
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="where data sets lie that are not embedded; then $GRADUS_DATA, then the user's cache",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="folder of the record: runs/DATA-METHOD-N"
)
@click.option("--overwrite", is_flag=True, help="replace the record that --out holds")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="go on with the run of this folder, which was broken off",
)
@click.option("--quiet", is_flag=True, help="print nothing but the path of the record")
def train(
    spec: Path | None,
    data_dir: Path | None,
    out: Path | None,
    overwrite: bool,
    resume: Path | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Fit a model to DATA, record what happens, and draw the loss curve.

    DATA is digits (embedded, the default), fashion-mnist, mnist, or a file or folder of your own:
    CSV or Parquet (with --target), .npz, or the four IDX files of an image set.
    """
    from gradus.runs.spec import RunSpec

    options = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        others = {"spec": spec, "out": out, "overwrite": overwrite or None, **options}
        return _resume(resume, others, data_dir, quiet)
    run_spec = RunSpec.read_file(spec, options) if spec else RunSpec.read(options)

    from gradus import report
    from gradus.runs.train import train as train_run

    with _fresh_folder(run_spec) if out is None else nullcontext(out) as folder:
        if quiet:
            run = train_run(run_spec, out=folder, overwrite=overwrite, data_dir=data_dir)
            click.echo(folder)
            report.ending(run)
        else:
            with report.Live() as live:
                run = train_run(
                    run_spec,
                    out=folder,
                    overwrite=overwrite,
                    data_dir=data_dir,
                    observe=live.observe,
                )
            report.close(run)
    return EXIT_CODES[run.status]


def _resume(folder: Path, others: Mapping[str, object], data_dir: Path | None, quiet: bool) -> int:
    """Go on with the run of a folder."""
    from gradus.runs.choices import flag

    for name, value in others.items():
        if value is not None:
            option = str(value) if name == "data" else flag(name)
            raise InputError(
                f"--resume {folder}: goes on with the run as it was specified; leave out {option}"
            )

    from gradus import report
    from gradus.runs.train import resume

    started = time.time()
    with nullcontext() if quiet else report.Live() as live:
        observe = None if live is None else live.observe
        run = resume(folder, data_dir=data_dir, observe=observe, tell=_warn)
    if (folder / "run.json").stat().st_mtime < started:
        _warn(f"{folder}: this run has ended already, as {run.status}")
    elif quiet:
        click.echo(folder)
        report.ending(run)
    else:
        report.close(run)
    return EXIT_CODES[run.status]


def _warn(message: str) -> None:
    click.echo(f"gradus: {message}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what is wrong is one line on stderr and exit code 2."""
    try:
        code = cli.main(args=arguments, prog_name="gradus", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")
    except (KeyboardInterrupt, click.Abort):
        click.echo("gradus: interrupted", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(code)


def _fail(message: str) -> None:
    click.echo("gradus: " + " ".join(message.split()), err=True)
    sys.exit(WRONG)


@contextmanager
def _fresh_folder(spec: RunSpec) -> Iterator[Path]:
    """The first of runs/DATA-METHOD-1, -2, .. that nobody has, taken at once.

    It is given back where no run comes to stand in it.
    """
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    for n in count(1):
        folder = runs / f"{Path(spec.data).stem}-{spec.method}-{n}"
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


def _option(name: str) -> click.Option:
    """The option of a field: its values stay text, which the schema reads and checks."""
    from gradus.runs.choices import flag
    from gradus.runs.spec import RunSpec, choices, defaults_of

    field = RunSpec.model_fields[name]
    described = field.description or ""
    if shown := "; ".join(defaults_of(name)):
        described += f"  [default: {shown}]"
    kinds = field.annotation, *get_args(field.annotation)
    if any(get_origin(kind) is tuple for kind in kinds):
        return click.Option(
            [flag(name)], multiple=True, callback=_joined, metavar="A,B,..", help=described
        )
    if bool in kinds:
        return click.Option([flag(name)], is_flag=True, default=None, help=described)
    kind = "N" if int in kinds else "X" if float in kinds else "TEXT"
    metavar = "|".join(choices(field.annotation)) or kind
    return click.Option([flag(name)], metavar=metavar, help=described)


def _joined(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
    """A list given at once, or by repeating the option."""
    return ",".join(given) if given else None
