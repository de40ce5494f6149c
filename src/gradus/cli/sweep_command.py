"""`gradus sweep`: many runs, from their options to one record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradus.cli.exit_codes import DONE, INTERRUPTED, warn
from gradus.cli.options import SweepCommand, data_dir_option, workers_option
from gradus.errors import InputError

SWEEP_EXAMPLES = """\b
Examples:
  gradus sweep --lr 1,0.1,0.01 --momentum 0,0.5,0.9
  gradus sweep fashion-mnist --batch-size 16,64,256 --search one-at-a-time
  gradus sweep --lr log:1e-5:1:7 --seeds 5
  gradus sweep --hidden "64;512,512" --method sgd,adam
  gradus sweep --search random --trials 20 --lr log:1e-4:1 --epochs 9 --prune asha
  gradus sweep examples/lecture.toml             a file; options change it
  gradus sweep --resume digits-sgd-1             what was broken off
  gradus sweep --lr log:1e-4:1:50 --seeds 10 --on ray   on a cluster
"""


@click.command(cls=SweepCommand, epilog=SWEEP_EXAMPLES, short_help="Train many runs, to compare.")
@click.option("--name", metavar="NAME", help="of the folder of the record: DATA-METHOD-N")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("sweeps"),
    help="where sweeps are kept  [default: sweeps]",
)
@click.option(
    "--resume", metavar="NAME", help="train what this sweep lacks, by its own specification"
)
@workers_option
@click.option("--on", metavar="ray", help="train on a Ray cluster (pip install gradus[ray])")
@click.option("--cpus-per-run", type=float, metavar="X", help="of a cluster  [default: 1]")
@click.option("--gpus-per-run", type=float, metavar="X", help="of a cluster  [default: 0]")
@data_dir_option
@click.option(
    "--trust",
    is_flag=True,
    help="import the models and use the storage that a file or --resume names, whatever they are",
)
@click.option("--quiet", is_flag=True, help="print nothing but the path of the record")
def sweep(
    data: str | None,
    name: str | None,
    out: Path,
    resume: str | None,
    workers: int | None,
    on: str | None,
    cpus_per_run: float | None,
    gpus_per_run: float | None,
    data_dir: Path | None,
    trust: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Train many runs side by side, each option with one value or several, to compare them.

    DATA is that of `gradus train`, or the TOML file of a sweep. Several values are written
    10,0.1,0.001; a range log:1e-5:1:7 or lin:0:0.9:4. Where values hold a comma themselves, as
    in --hidden, ";" stands between them. What is trained already is not trained again.
    """
    from gradus.sweep.received import check_received
    from gradus.sweep.specification import from_options
    from gradus.sweep.toml_file import read_toml

    options = {option: value for option, value in given.items() if value is not None}
    trained: dict[str, Any] = {
        "workers": workers,
        "on": on,
        "cpus_per_run": cpus_per_run,
        "gpus_per_run": gpus_per_run,
        "data_dir": data_dir,
        "tell": warn,
    }
    models = (options.get("model") or "").split(",")
    if resume is not None:
        named = {"models": models, "storage": options.pop("storage", None), "trust": trust}
        options.pop("model", None)
        if data is not None or name is not None or options:
            raise InputError(
                f"--resume {resume}: goes on with the sweep as it was specified; give options "
                "without --resume to add runs to it"
            )
    elif data is not None and data.endswith(".toml"):
        spec = from_options(options, read_toml(Path(data)))
        storage = options.get("storage")
        check_received(spec, data, models=models, storage=storage, trust=trust)
    else:
        spec = from_options({"data": data, **options})

    from gradus.cli import sweep_report
    from gradus.sweep.folder import folder_of
    from gradus.sweep.sweep import resume_sweep, train_sweep

    with sweep_report.Live(quiet=quiet) as live:
        trained["observe"] = live.observe
        if resume is not None:
            done = resume_sweep(folder_of(resume, out), **named, **trained)
        else:
            done = train_sweep(spec, name=name, out=out, **trained)
    if quiet:
        click.echo(done.folder)
    else:
        sweep_report.close(done)
    if done.status == "interrupted":
        warn(f"interrupted; go on with: gradus sweep --resume {done.folder}")
        return INTERRUPTED
    return DONE
