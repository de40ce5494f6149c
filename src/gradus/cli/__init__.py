"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from gradus._version import __version__
from gradus.cli.compare_command import compare, report
from gradus.cli.doctor_command import doctor
from gradus.cli.evaluate_command import evaluate
from gradus.cli.exit_codes import INTERRUPTED, WRONG, warn
from gradus.cli.export_command import export
from gradus.cli.figures_command import figures
from gradus.cli.landscape_command import landscape
from gradus.cli.map_command import trainability
from gradus.cli.methods_command import methods
from gradus.cli.predict_command import predict
from gradus.cli.streams import write_ascii_forms
from gradus.cli.sweep_command import sweep
from gradus.cli.train_command import train
from gradus.cli.tune_command import tune
from gradus.cli.unknown_options import unknown_option
from gradus.errors import InputError
from gradus.importing import own_process


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
      gradus train houses.csv --target price      your own table
      gradus predict runs/houses-adamw-1 new.csv  what that says of new rows
      gradus evaluate runs/houses-adamw-1 new.csv how good that is, where the target is known
      gradus tune                        the learning rate, for whoever has none in mind
      gradus map                         where runs train, and where they are lost
      gradus sweep --lr 1,0.1,0.01       many runs, side by side
      gradus compare digits-sgd-1        which was best, and which option mattered
      gradus figures momentum            the pictures of the subject
      gradus landscape runs/digits-sgd-1 the path of a run over the true risk
      gradus doctor runs/digits-sgd-1    why a run diverged, crawled or learned nothing
      gradus methods                     which methods there are, and when to take which
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


cli.add_command(train)
cli.add_command(predict)
cli.add_command(evaluate)
cli.add_command(export)
cli.add_command(tune)
cli.add_command(trainability)
cli.add_command(sweep)
cli.add_command(compare)
cli.add_command(report)
cli.add_command(figures)
cli.add_command(landscape)
cli.add_command(doctor)
cli.add_command(methods)


def command() -> None:
    """Run the command line as a process of its own."""
    own_process()
    main()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what is wrong is one line on stderr and exit code 2."""
    write_ascii_forms(sys.stdout, sys.stderr)
    try:
        code = cli.main(args=arguments, prog_name="gradus", standalone_mode=False)
    except click.NoSuchOption as error:
        _fail(unknown_option(error))
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
    warn(message)
    sys.exit(WRONG)
