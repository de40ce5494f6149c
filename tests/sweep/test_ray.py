"""Sweeps on a Ray cluster of two local nodes end as on this machine, whatever is killed."""

import os
import subprocess
import sys
import time

import pytest

import gradus
from gradus.sweep.room import Room
from tests.sweep.records import record

SPEC = gradus.SweepSpec(
    base={"model": "linear", "epochs": 1500, "log_every": 100, "engine": "native"},
    vary={"lr": "0.1,0.01", "momentum": "0,0.5"},
    seeds=2,
)
PRUNED = gradus.SweepSpec(
    base={"model": "linear", "epochs": 9, "log_every": 30},
    vary={"lr": "1e-4,1e-3,0.01,0.1,1e38"},
    prune="halving",
    seeds=2,
)

DRIVER = """
import sys, gradus
spec = gradus.SweepSpec.model_validate_json(sys.argv[1])
gradus.train_sweep(spec, name="killed", out=sys.argv[2], on="ray", workers=2)
"""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"on": "rai"}, "--on rai: is no place; give ray"),
        (
            {"on": "ray://host:10001"},
            "--on ray://host:10001: Ray Client does not carry .* --on ray",
        ),
        ({"cpus_per_run": 2}, "--cpus-per-run 2: is for a cluster; give --on ray"),
        ({"on": "ray", "gpus_per_run": -1}, "--gpus-per-run -1: must be a number that is not"),
        ({"on": "ray", "cpus_per_run": 0}, "--cpus-per-run 0: a run takes something"),
    ],
)
def test_what_is_no_place_is_said(given, message):
    with pytest.raises(gradus.InputError, match=message):
        Room(**given)


def test_without_ray_one_line_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    said = r"^on=ray: needs Ray: pip install gradus\[ray\]$"
    with pytest.raises(gradus.InputError, match=said):
        gradus.train_sweep(SPEC, name="x", out=tmp_path, on="ray")
    assert not (tmp_path / "x").exists()


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with a processor each; the second may be killed."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install gradus[ray]")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    memory = {"object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **memory})
    made.second = made.add_node(num_cpus=1, **memory)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def connected(cluster):
    """The cluster, with this process at it."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    return cluster


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_what_is_pruned_goes_on_on_any_node(tmp_path, connected):
    gradus.train_sweep(PRUNED, name="ray", out=tmp_path, on="ray")
    gradus.train_sweep(PRUNED, name="local", out=tmp_path)
    assert record(tmp_path / "ray") == record(tmp_path / "local")
    assert not any((tmp_path / "ray/checkpoints").glob("*"))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_costs_no_run(tmp_path, connected):
    told, at = [], {}

    def observe(progress):
        if progress.counts["finished"] >= 2 and len(progress.under_way) == 2 and not at:
            at["killed"] = True
            connected.remove_node(connected.second, allow_graceful=False)

    gradus.train_sweep(SPEC, name="ray", out=tmp_path, on="ray", observe=observe, tell=told.append)
    assert at
    assert any("has gone with its node" in line for line in told), told
    gradus.train_sweep(SPEC, name="local", out=tmp_path)
    assert record(tmp_path / "ray") == record(tmp_path / "local")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_its_worker_dies_of_is_given_up(tmp_path, connected, monkeypatch):
    (tmp_path / "deadly.py").write_text(
        "import os\nfrom torch import nn\n"
        "class Model(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        if self.training:\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return super().forward(x.flatten(1))\n"
        "def make():\n    return Model(64, 10)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    import ray

    ray.shutdown()
    ray.init(address=connected.address, log_to_driver=False, runtime_env=environment)
    made = gradus.SweepSpec(
        base={"epochs": 1, "engine": "eager"}, vary={"model": "deadly:make,linear"}
    )
    said = r"its worker \(process \d+ on .*\) has died, 3 times .* the others are kept"
    with pytest.raises(gradus.InputError, match=said):
        gradus.train_sweep(made, name="x", out=tmp_path, on="ray", workers=1)
    assert gradus.open_sweep(tmp_path / "x").runs["model"].to_pylist() == ["linear"]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_coordinator_that_is_killed_goes_on_with_what_it_has(tmp_path, cluster):
    environment = {**os.environ, "RAY_ADDRESS": cluster.address, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DRIVER, SPEC.model_dump_json(exclude_defaults=True)]
    counts = []
    for least in (1, 4):
        with subprocess.Popen([*command, str(tmp_path)], env=environment) as process:
            while not (tmp_path / "killed/runs.parquet").exists() or (
                gradus.open_sweep(tmp_path / "killed").runs.num_rows < least
            ):
                assert process.poll() is None
                time.sleep(0.05)
            process.kill()
        counts.append(gradus.open_sweep(tmp_path / "killed").runs.num_rows)
    assert 1 <= counts[0] <= counts[1] < 8
    assert subprocess.call([*command, str(tmp_path)], env=environment) == 0
    gradus.train_sweep(SPEC, name="local", out=tmp_path)
    assert record(tmp_path / "killed") == record(tmp_path / "local")
