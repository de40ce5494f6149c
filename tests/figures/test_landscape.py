"""Where runs went: the path, the plane, and the true risk over it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus import InputError, RunSpec
from gradus.engine import eager, native
from gradus.engine.snapshot import Course, Watch
from gradus.figures.landscape import landscape, surface
from gradus.figures.landscape.path import path_of
from gradus.figures.landscape.plane import Plane, hessian_plane, principal_plane, random_plane
from gradus.figures.landscape.random_walk import random_walk_shares
from gradus.risk.empirical import EmpiricalRisk
from gradus.runs.job import load_for, prepare, resolved

SMALL = {"data": "digits", "hidden": (8,), "epochs": 3, "batch_size": 50, "lr": 0.1}


def trained(**options):
    return gradus.train(RunSpec(**{**SMALL, **options}))


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


class Dropping(nn.Module):
    """A model of the user's own that no kernel knows."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 6), nn.Linear(6, 10)
        self.norm, self.fixed = nn.BatchNorm1d(6), nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x):
        h = self.norm(torch.relu(self.first(x.flatten(1))))
        return self.second(nn.functional.dropout(h, 0.2, self.training)) * self.fixed


RUNS = {
    "native": {"engine": "native"},
    "eager": {"engine": "eager"},
    "eager nesterov": {"engine": "eager", "method": "nesterov", "beta": 0.9, "lr": 0.02},
    "native nesterov": {"engine": "native", "method": "nesterov", "beta": 0.9, "lr": 0.02},
    "adam": {"method": "adam", "lr": 0.01},
    "lbfgs": {"method": "lbfgs", "epochs": 4},
    "own model": {"model": f"{__name__}:Dropping", "hidden": None},
    "float64": {"dtype": "float64", "method": "polyak", "beta": 0.5},
}


class TestPath:
    @pytest.mark.parametrize("name", RUNS)
    def test_it_ends_where_the_recorded_run_ended_to_the_bit(self, name):
        run = trained(**RUNS[name])
        path = path_of(run)
        assert path.deviation == 0
        assert torch.equal(path.points[-1], flat(run.model))
        assert path.steps[0] == 0
        assert path.steps[-1] == run.summary["steps"]
        assert (np.diff(path.steps) > 0).all()
        assert path.epochs[-1] == run.spec.epochs
        # The start is what the seed draws.
        with torch.random.fork_rng():
            first = prepare(run.spec, load_for(run.spec, None)).model
        assert torch.equal(path.points[0], flat(first))

    @pytest.mark.parametrize("engine", ["native", "eager"])
    def test_points_on_the_way_are_those_of_shorter_runs(self, engine):
        path = path_of(trained(engine=engine))
        short = trained(engine=engine, epochs=2)
        (at,) = np.flatnonzero(path.epochs == 2)
        assert torch.equal(path.points[at], flat(short.model))

    def test_a_run_that_diverged_is_followed_while_it_is_finite(self):
        run = trained(lr=1e4, model="linear", hidden=None, loss="mse", data=_table(), auto=())
        assert run.status == "diverged"
        path = path_of(run)
        assert len(path.points) > 2
        for directions in ("principal", "hessian"):
            with pytest.raises(InputError, match="nowhere finite"):
                landscape.facts([run], grid=3, directions=directions)

    def test_an_interruption_is_not_swallowed(self, monkeypatch):
        run = trained(engine="eager")

        def interrupted(step, steps):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            path_of(run, progress=interrupted)

    def test_the_ends_of_epochs_are_among_the_points(self):
        path = path_of(trained(epochs=7))
        assert {*range(8)} <= {*path.epochs.tolist()}

    def test_a_record_of_the_stacked_engine_is_followed_by_the_eager_one(self):
        assert path_of(trained(engine="stacked")).deviation < 1e-5

    @pytest.mark.parametrize("engine", [eager, native])
    def test_a_watch_sees_every_step_it_asks_for(self, engine):
        split = load_for(RunSpec(**SMALL), None)
        steps, seen = (1, 2, 30, 31, 60), {}
        with torch.random.fork_rng():
            job = prepare(resolved(RunSpec(**SMALL), split), split)
            watch = Watch(steps, lambda step, w: seen.update({step: w}))
            outcome = engine.execute(job, course=Course(watch=watch))
        assert tuple(seen) == steps
        assert outcome.status == "finished"
        assert outcome.step == 87
        assert not torch.equal(seen[1], seen[2])

    def test_a_run_without_a_step_has_no_path(self):
        run = trained()
        nothing = gradus.Run(run.spec, {**run.summary, "steps": 0}, run.history, run.evaluation)
        with pytest.raises(InputError, match="took no step"):
            path_of(nothing)


def _table():
    """A regression whose inputs are large, so that steps are too."""
    import tempfile
    from pathlib import Path

    random = np.random.default_rng(0)
    x = 100 * random.standard_normal((200, 3))
    path = Path(tempfile.mkdtemp()) / "table.npz"
    np.savez(path, x_train=x[:150], y_train=x[:150].sum(1), x_test=x[150:], y_test=x[150:].sum(1))
    return str(path)


def walk(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).cumsum(0)


class TestRandomWalk:
    @pytest.mark.parametrize("n", [3, 10, 61])
    def test_in_many_dimensions_the_shares_are_those_of_the_closed_form(self, n):
        """Of moves of one length: the eigenvalues of the inverse of a second difference."""
        k = np.arange(1, n)
        eigenvalues = 1 / (2 - 2 * np.cos(np.pi * k / n))
        truth = eigenvalues[:2] / eigenvalues.sum()
        path = torch.arange(float(n))[:, None].expand(n, 10**6)
        assert random_walk_shares([path]) == pytest.approx(truth, rel=0.01)

    @pytest.mark.parametrize("d", [2, 20, 5000])
    def test_they_are_the_shares_of_walks_that_are_drawn(self, d):
        """In 5,000 dimensions 76 %, of which nothing can be concluded about what walked there."""
        drawn = [principal_plane(walk(61, d, seed), walk(61, d, seed)[-1]) for seed in range(20)]
        shares = np.array([plane.explained for plane in drawn])
        error = shares.std(axis=0) * (1 / 20 + 1 / 10) ** 0.5 + 0.01 * (d <= 20)
        assert (np.abs(shares.mean(axis=0) - random_walk_shares([walk(61, d)])) < 4 * error).all()

    def test_walks_start_where_their_paths_do(self):
        """Two short walks far apart: the way from one to the other is almost all."""
        near = walk(10, 100)
        first, second = random_walk_shares([near, near + 1000])
        assert first > 0.999
        alone = random_walk_shares([near])
        together = random_walk_shares([near, near])
        assert second < alone[0]
        assert together[0] < alone[0]

    def test_what_does_not_move_has_no_shares(self):
        assert random_walk_shares([torch.ones(4, 9)]) == (0, 0)


class TestPlane:
    points = torch.randn(20, 50, generator=torch.Generator().manual_seed(0)).cumsum(0)

    def test_principal_directions_are_the_singular_vectors(self):
        origin = self.points[-1]
        plane = principal_plane(self.points, origin)
        centred = (self.points - self.points.mean(0)).double()
        _, sizes, vectors = torch.linalg.svd(centred, full_matrices=False)
        for at in range(2):
            assert abs(float(plane.directions[at].double() @ vectors[at])) == pytest.approx(
                1, abs=1e-5
            )
            assert plane.explained[at] == pytest.approx(
                float(sizes[at] ** 2 / (sizes**2).sum()), rel=1e-5
            )

    def test_directions_are_orthonormal(self):
        u, v = principal_plane(self.points, self.points[-1]).directions.double()
        assert float(u @ v) == pytest.approx(0, abs=1e-6)
        assert float(u @ u) == pytest.approx(1, abs=1e-6)
        assert float(v @ v) == pytest.approx(1, abs=1e-6)

    def test_the_distance_from_the_plane_is_what_the_projection_leaves(self):
        plane = principal_plane(self.points, self.points[-1])
        at = torch.from_numpy(plane.coordinates(self.points))
        left = (self.points - plane.origin).double() - at @ plane.directions.double()
        np.testing.assert_allclose(plane.distance(self.points), left.norm(dim=1), atol=1e-5)

    def test_a_plane_of_points_in_a_plane_holds_them(self):
        at = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        basis = torch.linalg.qr(self.points[:2].double().T).Q.T
        plane = principal_plane(at @ basis, (at @ basis)[-1])
        assert plane.distance(at @ basis).max() < 1e-7
        assert sum(plane.explained) == pytest.approx(1, abs=1e-12)

    @pytest.mark.parametrize("n", [1, 2])
    def test_a_line_or_a_point_has_a_plane(self, n):
        plane = principal_plane(self.points[:n], self.points[n - 1])
        u, v = plane.directions.double()
        assert float(u @ v) == pytest.approx(0, abs=1e-6)
        assert plane.distance(self.points[:n]).max() < 1e-4

    def test_where_the_points_are_taken_from_changes_no_direction_and_no_share(self):
        one, other = (principal_plane(self.points, self.points[at]) for at in (0, -1))
        torch.testing.assert_close(one.directions.abs(), other.directions.abs(), rtol=0, atol=1e-4)
        assert one.explained == pytest.approx(other.explained, rel=1e-4)

    def test_random_directions_are_as_long_as_the_weights_in_every_filter(self):
        shapes = [torch.Size(shape) for shape in [(4, 3), (4,), (2, 4, 3, 3), (), (5, 2)]]
        origin = torch.randn(12 + 4 + 72 + 1 + 10, generator=torch.Generator().manual_seed(2))
        origin[-2:] = 0  # a filter of weights that are 0
        plane = random_plane(origin, shapes)
        for direction in plane.directions:
            parts = zip(
                direction.split([shape.numel() for shape in shapes]),
                origin.split([shape.numel() for shape in shapes]),
                shapes,
                strict=True,
            )
            for found, weights, shape in parts:
                if len(shape) < 2:
                    assert not found.any()
                    continue
                norms = (each.view(shape[0], -1).norm(dim=1) for each in (found, weights))
                torch.testing.assert_close(*norms)

    def test_random_directions_follow_the_scale_of_a_filter(self):
        """A unit of weights twice as long and outputs half as strong is the same function."""
        shapes = [torch.Size((3, 2)), torch.Size((1, 3))]
        origin, scale = torch.rand(9, generator=torch.Generator().manual_seed(3)), torch.ones(9)
        scale[2:4], scale[7] = 2.0, 0.5
        plain, scaled = (random_plane(o, shapes).directions for o in (origin, scale * origin))
        torch.testing.assert_close(scaled[:, :6], (scale * plain)[:, :6])

    def test_coordinates_in_a_plane_that_is_not_orthonormal_are_those_of_its_points(self):
        shapes = [torch.Size((5, 10))]
        plane = random_plane(self.points[-1], shapes)
        at = torch.tensor([[1.0, 0.0], [0.5, -2.0], [0.0, 0.0]])
        points = plane.origin + at @ plane.directions
        np.testing.assert_allclose(plane.coordinates(points), at, atol=1e-5)
        assert plane.distance(points).max() < 1e-4
        far = plane.directions[0].roll(1)
        u, v = plane.directions.double()
        _, left, *_ = torch.linalg.lstsq(torch.stack([u, v], 1), far.double()[:, None])
        assert plane.distance(plane.origin + far[None])[0] == pytest.approx(left.sqrt(), rel=1e-5)

    @pytest.mark.parametrize(
        ("weight", "shape"),
        [(1.0, (50,)), (0.0, (2, 25)), (1.0, (1, 1))],
        ids=["no filter", "weights of 0", "one weight"],
    )
    def test_a_model_without_two_random_directions_is_refused(self, weight, shape):
        shape = torch.Size(shape)
        with pytest.raises(InputError, match="--directions random"):
            random_plane(torch.full((shape.numel(),), weight), [shape])

    @pytest.mark.parametrize("value", [0.0, float("nan")])
    def test_a_hessian_without_eigenvectors_is_told(self, value):
        with pytest.raises(InputError, match="--directions hessian"):
            hessian_plane(lambda v: v * value, torch.zeros(9), lambda taken: None)

    @pytest.mark.parametrize("d", [3, 12])
    def test_directions_of_curvature_are_the_top_eigenvectors(self, d):
        random = torch.Generator().manual_seed(d)
        root = torch.randn(d, d, dtype=torch.float64, generator=random)
        H = root @ root.T
        told = []
        plane = hessian_plane(lambda v: H @ v, torch.zeros(d, dtype=torch.float64), told.append)
        vectors = torch.linalg.eigh(H).eigenvectors
        for at in range(2):
            assert abs(float(plane.directions[at] @ vectors[:, -1 - at])) == pytest.approx(
                1, abs=1e-3
            )
        assert told == list(range(1, len(told) + 1))


class Tanh(nn.Sequential):
    def __init__(self):
        layers = (nn.Linear(64, 7), nn.Tanh(), nn.Linear(7, 5, bias=False), nn.Sigmoid())
        super().__init__(nn.Flatten(), *layers, nn.Linear(5, 10))


SURFACES = {
    "mlp": {},
    "linear": {"model": "linear", "hidden": None},
    "three layers": {"hidden": (9, 7)},
    "other activations": {"model": f"{__name__}:Tanh", "hidden": None},
    "nll": {"loss": "nll"},
    "penalty": {"penalty": "squared-l2", "strength": 0.1},
    "own model": {"model": f"{__name__}:Dropping", "hidden": None},
}


@pytest.mark.parametrize(
    ("name", "weighted"), [*((name, False) for name in SURFACES), ("mlp", True), ("nll", True)]
)
def test_the_risk_over_the_plane_is_the_true_one(name, weighted, monkeypatch):
    monkeypatch.setattr(surface, "CHUNK", 64)
    path = path_of(trained(dtype="float64", **SURFACES[name]))
    data = path.split.train.to(dtype=torch.float64).subset(slice(0, 150))
    if weighted:
        data = replace(data, weights=torch.linspace(0, 2, 150, dtype=torch.float64))
    plane = principal_plane(path.points, path.points[-1])
    a, b = np.array([-1.0, 0.0, 0.7]), np.array([-0.5, 0.0])
    told = []
    found = surface.risks(path.job, data, plane, a, b, lambda done, of: told.append((done, of)))
    path.job.model.eval()
    risk = EmpiricalRisk(path.job.model, path.job.loss, data, path.job.penalty)
    for j, i in np.ndindex(2, 3):
        w = plane.origin + a[i] * plane.directions[0] + b[j] * plane.directions[1]
        assert found[j, i] == pytest.approx(float(risk.value(w)), rel=1e-10)
    assert told[-1][0] == told[-1][1]


class TestFacts:
    def test_one_run(self):
        run = trained()
        found = landscape.facts([run], grid=5, examples=300)
        (trail,) = found.trails
        assert found.examples == 300
        assert np.isfinite(found.risk).all()
        np.testing.assert_array_equal(trail.at[-1], 0)
        assert found.a[0] < trail.at[:, 0].min() < trail.at[:, 0].max() < found.a[-1]
        assert found.b[0] < trail.at[:, 1].min() < trail.at[:, 1].max() < found.b[-1]
        assert trail.steps[trail.epoch_ends].tolist() == [29, 58, 87]
        assert 0 < trail.furthest_off < 1
        held, distance = landscape.caption(found)
        assert f"{100 * sum(found.plane.explained):.1f} % of the variance of the path" in held
        assert (
            f"random walk with moves of the same lengths: {100 * sum(found.random_walk):.1f} %"
            in held
        )
        assert "off the plane" in distance

    def test_a_record_of_another_machine_is_said_to_be_near(self):
        run = trained()
        moved = trained()
        with torch.no_grad():
            next(moved.model.parameters()).add_(1e-4)
        other = gradus.Run(run.spec, run.summary, run.history, run.evaluation, None, moved.model)
        found = landscape.facts([other], grid=3, examples=50)
        assert 0 < found.trails[0].deviation < 0.01
        assert "from the recorded model" in landscape.caption(found)[-1]

    def test_several_runs_on_one_plane(self):
        runs = [trained(), trained(method="adam", lr=0.01), trained(engine="eager", lr=0.02)]
        found = landscape.facts(runs, grid=4, examples=100)
        starts = [trail.at[0] for trail in found.trails]
        np.testing.assert_allclose(starts, np.broadcast_to(starts[0], (3, 2)), atol=1e-5)
        assert len({trail.line.color for trail in found.trails}) == 3
        figure = landscape.draw(found)
        assert {t.get_text() for t in figure.axes[0].get_legend().get_texts()} == {
            *(run.spec.title for run in runs),
            "end; marks: ends of epochs",
        }

    def test_random_directions(self):
        """As far as the weights are long; a path is all but off such a plane."""
        found = landscape.facts([trained()], directions="random", grid=5, examples=50)
        assert (found.a[0], found.a[-1], found.b[0], found.b[-1]) == (-1, 1, -1, 1)
        assert found.trails[0].furthest_off > 0.9
        at = found.risk[2, 2]
        assert at == found.risk.min()
        assert "filter-normalised" in found.plane.labels[0]
        (distance,) = landscape.caption(found)
        assert "off the plane" in distance
        figure = landscape.draw(found)
        assert "%" not in figure.axes[0].get_xlabel()

    def test_the_plane_of_curvature(self):
        found = landscape.facts([trained()], directions="hessian", grid=4, examples=100)
        assert "Hessian" in found.plane.labels[0]
        landscape.draw(found)

    def test_runs_of_different_models_are_refused(self):
        with pytest.raises(InputError, match=r"hidden .* landscape"):
            landscape.facts([trained(), trained(hidden=(9,))], grid=3)
        with pytest.raises(InputError, match="no run"):
            landscape.facts([])

    def test_a_path_is_held_to_the_epoch_that_its_run_kept(self):
        spec = RunSpec(hidden=(8,), epochs=9, lr=3.0, momentum=0.9, validation_fraction=0.3)
        run = gradus.train(spec)
        assert run.summary["kept"]["epoch"] < 9
        found = path_of(run)
        assert found.deviation == 0
        assert found.steps[-1] == run.summary["steps"]

    def test_a_path_ends_where_its_observer_ended_the_run(self):
        spec = RunSpec(hidden=(8,), epochs=2, lr=0.1, log_every=1)
        run = gradus.train(
            spec, observe=lambda job, split: lambda at: "stop" if at.step == 5 else None
        )
        found = path_of(run)
        assert found.deviation == 0
        assert found.steps[-1] == run.summary["steps"] == 5

    def test_runs_whose_parts_are_cut_otherwise_are_refused(self, tmp_path):
        random = np.random.default_rng(0)
        rows = "\n".join(",".join(f"{v:.4f}" for v in row) for row in random.normal(size=(60, 3)))
        (tmp_path / "t.csv").write_text("a,b,c\n" + rows)
        given = {"data": str(tmp_path / "t.csv"), "target": "c", "hidden": (3,), "models": 1}
        runs = [gradus.train(RunSpec(**given, epochs=1, split_seed=seed)) for seed in (0, 1)]
        with pytest.raises(InputError, match=r"other examples than .*: split_seed 1 against 0$"):
            landscape.facts(runs, grid=3)

    def test_the_picture_says_what_it_shows(self):
        found = landscape.facts([trained()], grid=5, examples=100)
        figure = landscape.draw(found)
        texts = [figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()]
        assert all("principal direction" in text and "%" in text for text in texts)
        assert "risk over 100 training examples" in figure.axes[1].get_ylabel()
        assert "off the plane" in figure._supxlabel.get_text()

    def test_the_distance_of_a_point(self):
        origin = torch.zeros(3)
        plane = Plane(origin, torch.eye(3)[:2], (np.nan, np.nan), ("a", "b"))
        assert plane.distance(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [3.0]
