"""Which figures say what there is to say of a sweep."""

from __future__ import annotations

from gradus.figures.bars import draw_final, draw_importance, final_measures, importances
from gradus.figures.curves import draw_overlay, overlay, panels
from gradus.figures.heat import draw_heat_map, heat_map
from gradus.figures.picture import Picture
from gradus.figures.sensitivity import draw_sensitivity, response
from gradus.runs.curve import Against
from gradus.sweep.groups import Compared, check_varied, levels, varied
from gradus.sweep.importance import importance
from gradus.sweep.measures import accuracy_of, measure_of

FACETS = 6
"""An option with more values gives no panes of its own unless it is asked for."""

PAIRS = (("batch_size", "lr"), ("momentum", "lr"), ("beta", "lr"), ("batch_size", "momentum"))
"""Options whose interplay has a heat map."""


def pictures(
    sweep: Compared,
    by: str | None = None,
    facet: str | None = None,
    measure: str | None = None,
    against: Against = "samples",
) -> list[Picture]:
    """The figures of a sweep, the most telling first.

    Args:
        sweep: what is compared.
        by: the option that tells curves apart and that sensitivity is drawn against; None: the
            learning rate where it varies, else the option that explains most.
        facet: the option that tells panes apart; None: the method where it varies.
        measure: what configurations are compared by; None: the measure of the sweep.
        against: what loss curves are drawn against: samples, work or seconds of training.

    Raises:
        InputError: an option does not vary in this sweep, or no run has the measure.

    Example:
        >>> import tempfile, gradus
        >>> from gradus.figures.sweep_figures import pictures
        >>> folder = tempfile.TemporaryDirectory()
        >>> spec = gradus.SweepSpec(base={"model": "linear", "epochs": 1}, vary={"lr": "1,0.1"})
        >>> sweep = gradus.train_sweep(spec, name="rates", out=folder.name)
        >>> [picture.name for picture in pictures(sweep)]
        ['final', 'importance', 'curves', 'sensitivity-lr']
        >>> folder.cleanup()
    """
    measure = measure_of(sweep.runs) if measure is None else measure
    options = varied(sweep.runs)
    by, panes = told_apart(sweep, measure, by, facet)

    found = [
        Picture(
            "final",
            "Final figures",
            lambda: draw_final(final_measures(sweep, accuracy_of(sweep.runs, measure))),
        )
    ]
    if sweep.panels:
        found.insert(
            0,
            Picture("panels", "One option at a time", lambda: draw_overlay(panels(sweep, against))),
        )
    if options:
        found.append(
            Picture(
                "importance",
                "Which option mattered",
                lambda: draw_importance(importances(sweep, measure)),
            )
        )
    found.append(
        Picture("curves", "Loss curves", lambda: draw_overlay(overlay(sweep, by, panes, against)))
    )
    if by is not None:
        found.append(
            Picture(
                f"sensitivity-{by.replace('_', '-')}",
                "How much depends on one option",
                lambda: draw_sensitivity(response(sweep, by, panes, measure)),
            )
        )
    for row, column in PAIRS:
        if {row, column} <= set(options) and not sweep.panels:
            found.append(
                Picture(
                    f"{row.replace('_', '-')}-{column}",
                    "How two options act together",
                    lambda row=row, column=column: draw_heat_map(  # type: ignore[misc]
                        heat_map(
                            sweep, row, column, "method" if "method" in options else None, measure
                        )
                    ),
                )
            )
    return found


def told_apart(
    sweep: Compared, measure: str, by: str | None = None, facet: str | None = None
) -> tuple[str | None, str | None]:
    """The option that tells curves apart, and that which tells panes apart; see `pictures`.

    Raises:
        InputError: an option does not vary in this sweep.
    """
    options = varied(sweep.runs)
    for option in filter(None, (by, facet)):
        check_varied(sweep.runs, option)
    if by is None and options:
        by = "lr" if "lr" in options else importance(sweep, measure)["option"][0].as_py()
    if facet is None and "method" in options and by != "method":
        facet = "method"
    if facet is None or facet == by or len(levels(sweep.runs, facet)[0]) > FACETS:
        return by, None
    return by, facet
