"""The facts of figures against the runs, and that figures of every kind of sweep are drawn."""

import numpy as np
import pytest

from gradus import InputError
from gradus.figures import curves
from gradus.figures.bars import SHOWN, draw_final, draw_importance, final_measures, importances
from gradus.figures.curves import draw_overlay, overlay, panels
from gradus.figures.heat import draw_heat_map, heat_map
from gradus.figures.sensitivity import draw_sensitivity, response
from gradus.figures.style import save
from gradus.figures.sweep_figures import pictures
from gradus.figures.thinning import curves_of
from gradus.runs.thinning import thin
from gradus.sweep.bins import BINS
from gradus.sweep.compare import places
from gradus.sweep.measures import accuracy_of
from tests.figures.sweeps import grid, lecture, made, sgd, thousand

SWEEPS = {
    "lecture": lecture,
    "regression": lambda: lecture(accuracies=False),
    "grid": grid,
    "one option": lambda: made("rates", [sgd(lr, 0.5, 16) for lr in (10.0, 0.1, 0.001)]),
    "one run": lambda: made("single", [sgd(0.1, 0.5, 16)]),
    "seeds": lambda: made("seeds", [sgd(0.1, 0.5, 16, seed) for seed in range(3)]),
    "all diverged": lambda: made("lost", [sgd(lr, 0.5, 16) for lr in (10.0, 20.0, 30.0)]),
    "thousand": thousand,
}
KINDS = dict.fromkeys(SWEEPS, "png") | {"regression": "svg", "seeds": "svg"}


@pytest.mark.parametrize("points", [4, 5, 16, 100, 1000])
@pytest.mark.parametrize("many", [1, 3])
def test_thinning_keeps_the_ends_and_the_extremes(points, many):
    random = np.random.default_rng(points)
    lengths = random.integers(1, 700, many)
    values = random.standard_normal(lengths.sum())
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    kept = thin(starts, values, points)
    assert sorted(set(kept)) == list(kept)
    for start, length in zip(starts, lengths, strict=True):
        own = kept[(kept >= start) & (kept < start + length)]
        assert len(own) <= max(points, 4) + 2
        if length <= points:
            assert len(own) == length
        whole = values[start : start + length]
        assert values[own].min() == whole.min()
        assert values[own].max() == whole.max()
        assert {start, start + length - 1} <= set(own)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_every_kind_of_sweep_has_its_figures(name, kind, tmp_path):
    found = pictures(SWEEPS[name]())
    names = [picture.name for picture in found]
    assert len(set(names)) == len(names)
    assert {"final", "curves"} <= set(names)
    assert ("panels" in names) == (name in ("lecture", "regression"))
    for picture in found:
        path = save(picture.draw(), tmp_path / f"{picture.name}.{kind}")
        assert path.stat().st_size > 2000


def test_the_lecture_has_five_panels_with_a_curve_a_value():
    sweep = lecture()
    facts = panels(sweep)
    assert [len(pane.bold) for pane in facts.panes] == [3, 3, 3, 3, 4]
    labels = [curve.label for curve in facts.panes[1].bold]
    assert labels == ["lr 0.001", "lr 0.1", "lr 10"]
    (end,) = facts.panes[1].ends
    (run,) = (row for row in sweep.runs.to_pylist() if row["status"] == "diverged")
    assert (end.run, end.status, end.x) == (run["run"], "diverged", run["diverged_samples"])
    axes = draw_overlay(facts).axes[:5]
    assert axes[1].get_legend_handles_labels()[1][2] == "lr 10 (1 of 1 diverged)"


def test_a_bold_curve_is_the_mean_of_the_running_means_of_its_seeds():
    sweep = grid(seeds=3)
    facts = overlay(sweep, "lr")
    (pane,) = facts.panes
    assert [curve.averaged for curve in pane.bold] == [
        3 if curve.label.split()[-1] != "10" else 1 for curve in pane.bold
    ]
    assert len(pane.thin) == sweep.runs.num_rows
    assert pane.counts["runs"] == sweep.runs.num_rows


def test_clipped_losses_are_counted():
    sweep = grid(seeds=1)
    facts = overlay(sweep, "lr")
    losses = curves_of(sweep.history).loss
    assert facts.ceiling is not None
    assert facts.clipped[0] == (losses > facts.ceiling).sum() > 0
    said = draw_overlay(facts)._supxlabel.get_text()
    assert f"{facts.clipped[0]} recorded losses" in said
    assert f"{sum(r['status'] == 'diverged' for r in sweep.runs.to_pylist())} diverged" in said


def test_of_very_many_runs_some_have_a_thin_curve(monkeypatch):
    monkeypatch.setattr(curves, "DRAWN", 50)
    sweep = thousand()
    facts = overlay(sweep, "lr")
    drawn = [curve.run for pane in facts.panes for curve in pane.thin]
    assert len(drawn) == len(set(drawn)) == 50
    best = int(np.argmin(places(sweep.runs, "test_loss")))
    assert sweep.runs["run"][best].as_py() in drawn
    diverged = sum(row["status"] == "diverged" for row in sweep.runs.to_pylist())
    said = draw_overlay(facts)._supxlabel.get_text()
    assert "thin: 50 of 1,000 runs" in said
    assert f"{diverged} diverged" in said


@pytest.mark.parametrize("scale", [np.linspace, np.geomspace])
def test_of_very_many_values_those_near_each_other_stand_together(scale):
    rates = scale(0.001, 1, 300).tolist()
    sweep = made("rates", [sgd(lr, m, 16) for lr in rates for m in (0.0, 0.5)], points=3)
    (one,) = response(sweep, "lr").responses
    (grid_of,) = heat_map(sweep, "momentum", "lr").grids
    assert len(one.values) == len(grid_of.columns) == BINS
    assert set(one.values) <= set(rates)
    assert sum(one.configurations) == sweep.runs.num_rows
    losses = np.sort(sweep.runs["test_loss"].to_numpy())
    assert np.nanmin(one.best) == np.nanmin(grid_of.best) == losses[0]
    assert np.nanmax(one.worst) == losses[-1]
    assert (
        f"300 values of lr in {BINS} groups"
        in draw_sensitivity(response(sweep, "lr")).get_supxlabel()
    )


def test_where_runs_diverge_is_shaded():
    facts = response(grid(seeds=1), "lr")
    (one,) = facts.responses
    assert [counts["diverged"] for counts in one.counts] == [0, 0, 0, 9]
    assert np.isnan(one.best[-1])
    figure = draw_sensitivity(facts)
    (legend,) = figure.legends
    assert "all runs diverged" in [text.get_text() for text in legend.get_texts()]
    assert "9 diverged" in figure._supxlabel.get_text()


def test_a_heat_map_has_a_cell_a_pair():
    sweep = grid(seeds=1)
    facts = heat_map(sweep, "momentum", "lr")
    (one,) = facts.grids
    assert one.rows == (0.0, 0.5, 0.9)
    assert one.columns == (0.001, 0.01, 0.1, 10.0)
    runs = sweep.runs.to_pylist()
    for i, momentum in enumerate(one.rows):
        for j, lr in enumerate(one.columns):
            losses = [
                run["test_loss"]
                for run in runs
                if (run["momentum"], run["lr"], run["status"]) == (momentum, lr, "finished")
            ]
            assert one.best[i, j] == min(losses) if losses else np.isnan(one.best[i, j])
    texts = [text.get_text() for text in draw_heat_map(facts).axes[0].texts]
    assert len(texts) == 12
    assert texts.count("3/3 div.") == 3


def test_what_is_not_shown_is_counted():
    sweep = thousand()
    facts = final_measures(sweep, accuracy_of(sweep.runs, "test_loss"))
    assert facts.measure == "test_accuracy"
    assert len(facts.labels) == SHOWN
    assert facts.hidden["configurations"] == 200 - SHOWN
    assert f"not shown: {200 - SHOWN} configurations" in draw_final(facts)._supxlabel.get_text()


def test_importance_is_drawn_for_every_option():
    facts = importances(grid())
    assert set(facts.options) == {"lr", "momentum", "batch_size"}
    axes = draw_importance(facts).axes[0]
    assert len(axes.get_yticklabels()) == 3
    said = [text.get_text() for text in axes.texts]
    for share, text in zip(facts.explained, said, strict=True):
        assert text.startswith("not told from noise") == np.isnan(share)


def test_what_does_not_vary_cannot_tell_curves_apart():
    with pytest.raises(InputError, match="batch_size: does not vary"):
        pictures(SWEEPS["one option"](), by="batch_size")


def test_figures_say_by_what_their_best_was_chosen():
    sweep = grid()
    said = "by test loss"
    for drawn in (
        draw_overlay(overlay(sweep, "lr")),
        draw_sensitivity(response(sweep, "lr")),
        draw_heat_map(heat_map(sweep, "momentum", "lr")),
    ):
        assert said in drawn.get_supxlabel()
    one = SWEEPS["one option"]()
    assert said not in draw_overlay(overlay(one, "lr")).get_supxlabel()
