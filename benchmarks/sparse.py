"""One pass over sparse rows, one example a step: beside scikit-learn and Vowpal Wabbit.

The rows are like those of RCV1 (Lewis et al., 2004): 47,236 columns, some 75 of them not zero in a
row, a few columns in most rows and most in hardly any, rows of length 1; the classes are drawn by a
logistic model. All take plain steps of stochastic gradient descent for logistic regression at one
learning rate, on float32 (scikit-learn on float64 too, its own type): `SGDClassifier`, and
`vw --sgd --power_t 0` from its binary cache. Ours has an output for each of the two classes, so
that half the rate makes the same steps. Vowpal Wabbit takes the rows in their order, as ours does
in one line; the others shuffle them, and scikit-learn takes shorter steps of the intercept.

Each is a process of its own; they run in turn, and medians of processor seconds are printed. Of
memory, that is what the process held at most beyond what it held before it read the data, over what
the data take, those held out too. Where Vowpal Wabbit cannot be installed it is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.environments import VOWPAL_WABBIT, NotInstalledError
from benchmarks.markdown import describe_machine, markdown
from benchmarks.processes import run

if TYPE_CHECKING:
    from gradus.data.sampling import SamplingName

COLUMNS, ROW, HELD = 47_236, 75, 20_000
RATE = 1.0
"""Of a model of one output."""


def write(folder: Path, rows: int) -> None:
    """The rows of both parts, and a file of those that train for Vowpal Wabbit."""
    import numpy as np

    random, n = np.random.default_rng(0), rows + HELD
    counts = np.maximum(1, random.poisson(ROW * 1.28, n))  # less those that are drawn twice
    at = np.repeat(np.arange(n), counts)
    columns = (COLUMNS ** random.random(len(at)) - 1).astype(np.int64)  # density ~ 1 / column
    at, columns = np.divmod(np.unique(at * COLUMNS + columns), COLUMNS)
    values = random.exponential(1, len(at))
    values /= np.sqrt(np.bincount(at, values**2, n))[at]
    starts = np.searchsorted(at, np.arange(n + 1))
    w = 4 * random.normal(size=COLUMNS)
    score = np.bincount(at, values * w[columns], n)
    y = (random.random(n) < 1 / (1 + np.exp(-score))).astype(np.int64)
    for part, first, last in (("train", 0, rows), ("held", rows, n)):
        own = slice(starts[first], starts[last])
        np.save(folder / f"{part}-values.npy", values[own].astype(np.float32))
        np.save(folder / f"{part}-columns.npy", columns[own].astype(np.int32))
        np.save(folder / f"{part}-starts.npy", starts[first : last + 1] - starts[first])
        np.save(folder / f"{part}-y.npy", y[first:last])
        with (folder / f"{part}.vw").open("w") as file:
            for row in range(first, last):
                inside = range(starts[row], starts[row + 1])
                said = " ".join(f"{columns[i]}:{values[i]:.7g}" for i in inside)
                file.write(f"{2 * y[row] - 1} | {said}\n")


def _part(folder: Path, name: str) -> tuple[Any, Any]:
    """A part as a matrix and its classes."""
    import numpy as np
    from scipy.sparse import csr_matrix

    values, columns, starts, y = (
        np.load(folder / f"{name}-{what}.npy") for what in ("values", "columns", "starts", "y")
    )
    return csr_matrix((values, columns, starts), (len(y), COLUMNS)), y


def _held(field: str = "VmRSS") -> float:
    """What the process holds now, or has at most (``VmHWM``), in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(field))


def _size(x: Any, y: Any) -> int:
    """Of a part, in bytes."""
    return int(x.data.nbytes + x.indices.nbytes + x.indptr.nbytes + y.nbytes)


def _log_loss(score: Any, y: Any) -> float:
    import numpy as np

    return float(np.logaddexp(0, np.where(y == 1, -score, score)).mean())


def gradus_pass(folder: Path, sampling: SamplingName) -> dict[str, float]:
    """The pass alone: what `gradus train --batch-size 1 --epochs 1` takes its steps by."""
    import torch

    import gradus
    from gradus.data.dataset import Dataset
    from gradus.data.sampling import Sampling
    from gradus.engine import native
    from gradus.engine.job import Job
    from gradus.risk.sparse_matrices import as_csr

    train, held = (
        Dataset(as_csr(x, "x"), torch.from_numpy(y))
        for x, y in (_part(folder, name) for name in ("train", "held"))
    )
    model = torch.nn.Linear(COLUMNS, 2)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    job = Job(
        model=model,
        loss=gradus.CrossEntropyLoss(),
        penalty=None,
        method=gradus.methods.SGD(RATE / 2),
        train=train,
        test=held,
        sampling=Sampling(sampling, n=len(train), batch_size=1, seed=0),
        epochs=1,
        log_every=100,
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float32,
        measured=False,
    )
    began, computed = time.perf_counter(), time.process_time()
    native.execute(job)
    wall, processor = time.perf_counter() - began, time.process_time() - computed
    with torch.no_grad():
        outputs = model(held.x)
    loss = _log_loss((outputs[:, 1] - outputs[:, 0]).numpy(), held.y.numpy())
    return {"wall": wall, "processor": processor, "loss": loss}


def gradus_whole(folder: Path) -> dict[str, float]:
    """The call, with the record that it keeps and the figures that it takes."""
    import gradus

    def train(x: Any, y: Any, held: Any) -> Any:
        return gradus.train(
            (x, y),
            validation=held,
            test=held,
            model="linear",
            method="sgd",
            lr=RATE / 2,
            batch_size=1,
            epochs=1,
        )

    x, y = _part(folder, "held")
    few = x[:200], y[:200]
    train(*few, few)  # what it imports is no data
    del x, y
    before = _held()
    (x, y), held = _part(folder, "train"), _part(folder, "held")
    size = _size(x, y) + _size(*held)
    began, computed = time.perf_counter(), time.process_time()
    run = train(x, y, held)
    return {
        "wall": time.perf_counter() - began,
        "processor": time.process_time() - computed,
        "loss": run.evaluation["test_loss"][-1].as_py(),
        "memory": (_held("VmHWM") - before) / size,
    }


def scikit_learn(folder: Path, dtype: str) -> dict[str, float]:
    """``SGDClassifier``."""
    from sklearn.linear_model import SGDClassifier

    before = _held()
    (x, y), (held, told) = _part(folder, "train"), _part(folder, "held")
    size = _size(x, y) + _size(held, told)
    x = x.astype(dtype)
    model = SGDClassifier(
        "log_loss", penalty=None, learning_rate="constant", eta0=RATE, max_iter=1, tol=None
    )
    began, computed = time.perf_counter(), time.process_time()
    model.fit(x, y)
    return {
        "wall": time.perf_counter() - began,
        "processor": time.process_time() - computed,
        "memory": (_held("VmHWM") - before) / size,
        "loss": _log_loss(model.decision_function(held), told),
    }


def vowpal_wabbit(folder: Path) -> dict[str, float]:
    """``vw --sgd``, after a pass that only wrote its cache."""
    import numpy as np
    from vowpalwabbit import Workspace

    given = f"--quiet --loss_function logistic --sgd -l {RATE} --power_t 0 -b 18"
    cache = folder / "train.cache"
    if not cache.exists():
        Workspace(f"{given} -d {folder / 'train.vw'} --cache_file {cache}").finish()
    model, said = folder / "model.vw", folder / "said.txt"
    before = _held()
    began, computed = time.perf_counter(), time.process_time()
    Workspace(f"{given} -d {folder / 'train.vw'} --cache_file {cache} -f {model}").finish()
    wall, processor = time.perf_counter() - began, time.process_time() - computed
    size = sum(path.stat().st_size for path in folder.glob("*.npy"))
    memory = (_held("VmHWM") - before) / size
    asked = f"--quiet -t -i {model} -d {folder / 'held.vw'} -r {said}"
    Workspace(asked).finish()
    loss = _log_loss(np.loadtxt(said), np.load(folder / "held-y.npy"))
    return {"wall": wall, "processor": processor, "loss": loss, "memory": memory}


CONTENDERS: dict[str, Callable[[Path], dict[str, float]]] = {
    "gradus, the pass": lambda folder: gradus_pass(folder, "shuffle"),
    "gradus, the pass in order": lambda folder: gradus_pass(folder, "sequential"),
    "gradus, the call": gradus_whole,
    "scikit-learn, float32": lambda folder: scikit_learn(folder, "float32"),
    "scikit-learn, float64": lambda folder: scikit_learn(folder, "float64"),
    "Vowpal Wabbit": vowpal_wabbit,
}


def measure(folder: Path, name: str, python: str) -> dict[str, float]:
    """What a contender says of itself, from a process of its own."""
    result = folder / "result.json"
    run(["-m", "benchmarks.sparse", "--of", name, str(folder), str(result)], python=python)
    told: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    return told


def table(found: dict[str, list[dict[str, float]]], rows: int) -> list[list[str]]:
    """A row for each contender."""
    base = [each["processor"] for each in found["scikit-learn, float64"]]
    head = ["", "µs a row", "processor seconds", "to scikit-learn's", "held-out loss", "memory"]
    told = [head]
    for name, turns in found.items():
        seconds = [each["processor"] for each in turns]
        ratios = [mine / other for mine, other in zip(seconds, base, strict=True)]
        memory = [each["memory"] for each in turns if "memory" in each]
        told.append(
            [
                name,
                f"{median(seconds) / rows * 1e6:.2f}",
                f"{median(seconds):.3f}",
                f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
                f"{median(each['loss'] for each in turns):.4f}",
                f"{median(memory):.2f} ×" if memory else "",
            ]
        )
    return told


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="that train [default: 100,000]")
    parser.add_argument("--repeats", type=int, default=5, help="turns [default: 5]")
    parser.add_argument("--of", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.of:
        name, folder, result = given.of
        Path(result).write_text(json.dumps(CONTENDERS[name](Path(folder))), encoding="utf-8")
        return
    interpreters = dict.fromkeys(CONTENDERS, sys.executable)
    try:
        interpreters["Vowpal Wabbit"] = VOWPAL_WABBIT.python()
    except NotInstalledError as error:
        _tell(str(error))
        del interpreters["Vowpal Wabbit"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, given.rows)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in interpreters}
        for turn in range(given.repeats):
            for name, python in interpreters.items():
                found[name].append(measure(folder, name, python))
            _tell(f"turn {turn + 1} of {given.repeats}")
    print(describe_machine() + "\n")
    print(markdown(table(found, given.rows)))


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
