"""The figures of a run as a table to read: value, interval, and what knowing nothing reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradus.errors import brief

if TYPE_CHECKING:
    from gradus.runs.record import Run

WORDS = {
    "f1": "macro F1",
    "auc": "ROC AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}
"""What figures are called where that is not their name."""

OF_RARER = {"f1_of_rarer": "F1", "average_precision": "average precision"}
"""Of two classes, figures of the rarer one."""


SHARES = {"accuracy", "balanced_accuracy", "coverage"}
"""Figures in percent."""

FALL = {
    "log_loss",
    "calibration_error",
    "rmse",
    "mae",
    "median_absolute_error",
    "pinball_loss",
}
"""Figures of which less is better."""

OF_NO_MODEL = {"calibration_error", "coverage"}
"""Figures that a constant may have as good as any model, and that are not held against its."""

NO_BETTER = "no better"
OFF = "off"


class Row(NamedTuple):
    """A figure in words."""

    name: str
    value: str
    interval: str
    constant: str
    remark: str


def rows_of(summary: Mapping[str, Any], part: str = "test") -> list[Row]:
    """The figures on a part of the data, in words; none where the record holds none.

    A figure is called no better than the best constant prediction where its interval holds that,
    or it is worse; and a coverage off where its interval does not hold what was wanted.

    Args:
        summary: of a run, as run.json holds it.
        part: whose figures.

    Example:
        >>> figure = dict(value=0.97, low=0.92, high=0.99, constant=0.97, reason=None)
        >>> rows_of({"figures": {"test": {"accuracy": figure}}, "data": {}})[0]
        Row(name='accuracy', value='97.00 %', interval='92.00 to 99.00 %', constant='97.00 %', remark='no better')
    """  # noqa: E501
    found = (summary["figures"] or {}).get(part, {})
    return [_row(name, figure, summary["data"]) for name, figure in found.items()]


def verdicts(summary: Mapping[str, Any]) -> list[str]:
    """What is to be said of a model that its figures do not tell from knowing nothing.

    Nothing where the loss itself does, by two standard errors: what a model learned may be none of
    the figures.
    """
    rows = rows_of(summary)
    told: list[str] = []
    answers = summary["answers"]
    if answers is not None and answers["times"] == answers["examples"] > 1:
        told.append(
            f"the model answers {answers['commonest']!r} in {answers['times']:,} of "
            f"{answers['examples']:,} cases, whatever the input: its accuracy is how common that is"
        )
    figures = (summary["figures"] or {}).get("test", {})
    compared = [
        row
        for name, row in zip(figures, rows, strict=True)
        if row.constant and name.partition(" of ")[0] not in OF_NO_MODEL
    ]
    alike = compared and all(row.remark == NO_BETTER for row in compared)
    if alike and not _has_a_lower_loss(summary):
        told.append("no figure is better than that of the best constant prediction")
    return told


def _has_a_lower_loss(summary: Mapping[str, Any]) -> bool:
    """Whether the test loss of a run is below that of the best constant prediction."""
    test, constant = summary.get("test"), summary.get("constant")
    if not test or not constant or test["standard_error"] is None:
        return False
    return bool(test["loss"] + 2 * test["standard_error"] < constant["test_loss"])


def lines(rows: Sequence[Row], examples: int, of: str = "test part") -> list[str]:
    """A table for the terminal.

    Args:
        rows: its rows.
        examples: how many the figures are of.
        of: what they are called.
    """
    head = Row(f"{of} ({examples:,})", "", "95 % interval", "constant", "")
    everything = [head, *rows]
    widths = [max(len(row[at]) for row in everything) for at in range(4)]
    return [
        "  ".join(
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row[:4], widths, strict=True))
        ).rstrip()
        + (f"  {row.remark}" if row.remark else "")
        for row in everything
    ]


def most_used(summary: Mapping[str, Any], most: int = 3) -> str:
    """The columns without which the model of a table would lose most, in words.

    Example:
        >>> rows = [dict(column="age", lost=0.51, low=0.4), dict(column="x", lost=0.1, low=-0.1)]
        >>> most_used({"importance": rows, "data": {"task": "regression"}})
        'age 0.51: R² lost where its values go to other examples'
    """
    rows = summary["importance"] or []
    told = [row for row in rows if row["low"] is not None and row["low"] > 0][:most]
    if not told:
        return ""
    said = ", ".join(f"{brief(row['column'])} {row['lost']:.2g}" for row in told)
    whose = "its" if len(told) == 1 else "their"
    what = lost(summary["data"])
    return f"{said}: {what} where {whose} values go to other examples"


def threshold_line(summary: Mapping[str, Any]) -> str:
    """By which threshold one of two classes is predicted, in words; "" where the likelier is.

    Example:
        >>> found = {"class": "yes", "at": 0.3127, "measure": "f1", "validation": 0.62, "likeliest": 0.5}
        >>> print(threshold_line({"threshold": found}))
        'yes' from p(yes) = 0.3127 on, chosen by macro F1 on validation: 0.6200 there, 0.5000 of the likelier class
    """  # noqa: E501
    found = summary.get("threshold")
    if found is None:
        return ""
    name = brief(found["class"], 40)
    said = f"{name!r} from p({name}) = {found['at']:.4g} on"
    if found["measure"] is None:
        return said
    figure = WORDS.get(found["measure"], found["measure"].replace("_", " "))
    there, plain = _digits(found["validation"]), _digits(found["likeliest"])
    return f"{said}, chosen by {figure} on validation: {there} there, {plain} of the likelier class"


def lost(data: Mapping[str, Any]) -> str:
    """What the importance of a column is.

    Example:
        >>> lost({"task": "regression"}), lost({"task": "regression", "quantile": 0.9})
        ('R² lost', 'pinball loss gained')
    """
    if data["task"] == "classification":
        return "log loss gained"
    return "R² lost" if data.get("quantile") is None else "pinball loss gained"


def what_losses_are(run: Run) -> str:
    """What makes the losses of a run another thing than its figures, in words; "" where nothing.

    Example:
        >>> import gradus
        >>> spec = gradus.RunSpec(model="linear", epochs=1, class_weight="balanced")
        >>> what_losses_are(gradus.train(spec))
        'with classes weighted (balanced); the figures count each example once'
    """
    spec, losses, figures = run.spec, [], []
    targets = () if not run.is_prepared else getattr(run.preparation.goal, "targets", ())
    if any(target.is_scaled for target in targets):
        of = [
            f"{brief(each.name, 40)} less {each.centre:.4g}, over {each.scale:.4g}"
            for each in targets
        ]
        losses.append(f"of {'; '.join(of)}" if len(of) < 4 else "of targets brought to scale")
        figures.append("are in its own unit" if len(of) == 1 else "are in their own units")
    if spec.weights is not None or spec.class_weight:
        figures.append("count each example once")
    if spec.weights is not None:
        losses.append(f"with rows weighted by {brief(spec.weights, 40)!r}")
    if spec.class_weight:
        losses.append(f"with classes weighted ({brief(', '.join(spec.class_weight), 60)})")
    if spec.label_smoothing:
        losses.append(f"with label smoothing {spec.label_smoothing:g}")
        figures.append("are without")
    return f"{', '.join(losses)}; the figures {' and '.join(figures)}" if losses else ""


def measure_name(measure: str) -> str:
    """What the column of a measure is called.

    Example:
        >>> measure_name("validation_auc"), measure_name("test_balanced_accuracy")
        ('validation ROC AUC', 'test balanced accuracy')
    """
    part, _, figure = measure.partition("_")
    return f"{part} {WORDS[figure]}" if figure in WORDS else measure.replace("_", " ")


def name_of(figure: str, data: Mapping[str, Any]) -> str:
    """What a figure is called.

    Example:
        >>> data = {"classes": ["no", "yes"], "shares": [0.97, 0.03]}
        >>> name_of("f1_of_rarer", data), name_of("rmse of height", {})
        ("F1 of 'yes'", 'RMSE of height')
    """
    plain, of, target = figure.partition(" of ")
    classes, shares = data.get("classes") or (), data.get("shares") or ()
    if len(classes) == len(shares) == 2 and plain in OF_RARER:
        return f"{OF_RARER[plain]} of {brief(classes[shares.index(min(shares))])!r}"
    if plain == "coverage" and data.get("quantile") is not None:
        plain = f"coverage ({100 * data['quantile']:g} % wanted)"
    return WORDS.get(plain, plain.replace("_", " ")) + of + target


def _row(name: str, figure: Mapping[str, Any], data: Mapping[str, Any]) -> Row:
    plain = name.partition(" of ")[0]
    value, low, high, constant = (figure[each] for each in ("value", "low", "high", "constant"))
    unit = " %" if plain in SHARES else ""

    def shown(number: float) -> str:
        return f"{100 * number:.2f}" if unit else _digits(number)

    interval = "" if low is None else f"{shown(low)} to {shown(high)}{unit}"
    remark = figure["reason"] or ""
    if plain == "coverage":
        wanted = data.get("quantile")
        remark = "" if wanted is None or low <= wanted <= high else OFF
    elif not remark and constant is not None and plain not in OF_NO_MODEL:
        bound, beaten = (-high, -constant) if plain in FALL else (low, constant)
        remark = "" if bound > beaten else NO_BETTER
    return Row(
        name_of(name, data),
        "" if value is None else shown(value) + unit,
        interval,
        "" if constant is None else shown(constant) + unit,
        remark,
    )


def _digits(value: float) -> str:
    """Four digits, and whole numbers in full."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:#.4g}".rstrip(".")
