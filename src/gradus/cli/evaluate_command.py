"""`gradus evaluate`: how good a trained model is on rows of which the target is known."""

from __future__ import annotations

from pathlib import Path

import click

from gradus.cli.exit_codes import DONE, warn

EVALUATE_EXAMPLES = """\b
Examples:
  gradus evaluate runs/houses-adamw-1 sold-since.csv
  gradus evaluate runs/x-adamw-1 x_new.npy --target y_new.npy
"""


@click.command(epilog=EVALUATE_EXAMPLES, short_help="How good a trained model is on new rows.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", metavar="Y.npy", help="where FILE is a .npy file: that of its targets")
@click.option(
    "--threshold",
    metavar="P",
    help="of two classes, the probability from which on the rarer is predicted, or of one, yes=0.3",
)
@click.option("--model", metavar="NAME", help="package.module:factory of the run, to import it")
@click.option("--trust", is_flag=True, help="import whatever model the run names")
def evaluate(
    run: Path,
    file: Path,
    target: str | None,
    threshold: str | None,
    model: str | None,
    trust: bool,
) -> int:
    """Hold the model of RUN, the folder of its record, against the rows of FILE, target included.

    FILE is a table, or a folder of files that are one, of which a piece at a time is in memory; for
    a run on arrays a .npz file with x and y, or a .npy file with x; for one on sparse rows a file
    of svmlight, or a matrix of SciPy in .npz with its --target; for one on images a folder that
    holds one for each class. Of more than a million rows that many are drawn.

    Each figure stands beside its interval of 95 % and what the best constant prediction of the
    training rows reaches on these rows. Numbers are in the unit of the target.
    """
    from gradus.data.unfamiliar import Unfamiliar
    from gradus.errors import quoted
    from gradus.figures.scores import lines, rows_of, verdicts
    from gradus.models.own import is_object
    from gradus.runs.judging import judged
    from gradus.runs.prediction import beside_truth, training_targets
    from gradus.runs.record import open_run

    opened = open_run(run, model=model, trust=trust)
    seen = Unfamiliar()
    beside = beside_truth(opened, file, target, seen, threshold)
    said = beside.said
    known = training_targets(opened)
    summary = {
        **judged(said, known, "test"),
        "data": {"classes": opened.summary["data"]["classes"], **known},
    }
    if not is_object(opened.spec.data) and file.resolve() == Path(opened.spec.data).resolve():
        warn(
            f"{file}: is what the run was trained on, and most of its rows are known to it; "
            f"gradus report {run} has the figures of its test part"
        )
    if beside.left_out:
        warn(f"{file}: {beside.left_out:,} rows have no target, and are left out")
    if said.examples < beside.examples:
        warn(f"{file}: figures are of {said.examples:,} rows, drawn from {beside.examples:,}")
    for told in seen.told(beside.examples):
        warn(told)
    for line in (
        *lines(rows_of(summary), said.examples, quoted(file.name, 60)),
        *verdicts(summary),
    ):
        click.echo(line)
    return DONE
