"""Who does the reference job, how each is started, and what each says of itself."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.environments import JAX, NotInstalledError
from benchmarks.reference import LOG_EVERY, LR, MOMENTUM, SEED, TRAIN, find_data

CONTENDERS = {
    "native": "gradus train --engine native",
    "native-1": "the same with one thread (OMP_NUM_THREADS=1)",
    "eager": "gradus train --engine eager",
    "memory": "PyTorch on tensors in memory, batches sliced and converted, fused optimizer",
    "compile": "the same through torch.compile, in the faster of two forms",
    "jax": "JAX and optax, the epoch in one lax.scan over bytes on the device, donated",
    "plain": "the plain PyTorch script: DataLoader over images converted one by one",
}
OURS = ("native", "native-1", "eager")


class AbsentError(Exception):
    """A contender cannot run here; the message says why."""


@dataclass(frozen=True)
class Job:
    """What all contenders of a row do.

    Attributes:
        samples: training examples, the first ones of the data.
        epochs: passes over them, the first of which warms up.
        folder: of the data, already shortened.
    """

    method: str
    batch_size: int
    samples: int
    epochs: int
    folder: Path

    @property
    def data(self) -> tuple[str, ...]:
        """What ``gradus train`` is told to load these files."""
        whole = self.samples == TRAIN
        return ("fashion-mnist", "--data-dir", str(self.folder)) if whole else (str(self.folder),)


@dataclass(frozen=True)
class Measurement:
    """One contender in one turn.

    Attributes:
        epochs: when the training pass of each epoch began and ended, seconds of the clock.
        train: seconds of a training pass: the median of those after the first, if there are such.
        test: of the test pass alone, seconds per epoch.
        test_loss: after the last epoch; contenders that do the same job agree in it.
        compile: seconds that compiling took, beside the epochs; None for those who do not compile.
        form: the form that was the fastest, of contenders that have several.
        peak: the most memory the process held, MB.
        first_step: seconds from the start of the process until its first step had been told of;
            known of gradus only.
        whole: seconds from the start of the process to its end.
        others: the share of all processors that others took meanwhile, None where unknown.
    """

    turn: int
    method: str
    batch_size: int
    samples: int
    contender: str
    epochs: list[tuple[float, float]]
    train: float
    test: float
    test_loss: float
    compile: float | None
    form: str | None
    peak: float
    first_step: float | None
    whole: float
    others: float | None


class Paddock:
    """What contenders need beside the data: kept in one scratch folder for a whole run.

    Args:
        scratch: an empty folder.
        data_dir: where the whole data lie.
    """

    def __init__(self, scratch: Path, data_dir: Path) -> None:
        self.scratch, self.data_dir = scratch, data_dir
        self._initial = scratch / "initial.npz"
        self._jax: str | None = None
        self._jax_absent = ""

    def prepare(self, contenders: Sequence[str]) -> None:
        """Install what they need, before anything is measured."""
        if "jax" in contenders:
            processes.run(["-m", "benchmarks.initial", str(self._initial)])
            try:
                self._jax = JAX.python()
            except NotInstalledError as error:
                self._jax_absent = str(error)

    def job(self, method: str, batch_size: int, samples: int, epochs: int) -> Job:
        """The job on the first so many examples."""
        shortened = self.scratch / "data" / str(samples)
        if not shortened.exists():
            shortened.mkdir(parents=True)
            find_data(self.data_dir, samples, batch_size, shortened)
        return Job(
            method, batch_size, samples, epochs, self.data_dir if samples == TRAIN else shortened
        )

    def measure(self, job: Job, contender: str, turn: int = 1) -> Measurement:
        """Run one contender once.

        Raises:
            AbsentError: it cannot run here.
        """
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            python, arguments, variables = self._start(job, contender, result)
            try:
                cost = processes.run(arguments, python=python, variables=variables)
            except processes.ProcessFailedError as error:
                raise AbsentError(str(error)) from None
            return read(result, cost, job, contender, turn)

    def _start(
        self, job: Job, contender: str, result: Path
    ) -> tuple[str, Sequence[str], dict[str, str]]:
        """The interpreter, its arguments, and variables of its environment."""
        numbers = [str(job.folder), job.method, str(job.batch_size), str(job.epochs)]
        if contender == "jax":
            if self._jax is None:
                raise AbsentError(self._jax_absent)
            start = ["-m", "benchmarks.jax_epoch", str(result), str(self._initial), *numbers]
            return self._jax, start, {}
        python = processes.THIS
        if contender in OURS:
            engine, _, threads = contender.partition("-")
            variables = {"OMP_NUM_THREADS": threads} if threads else {}
            return python, by_gradus(job, engine, result), variables
        # Compiled once, then taken from there: only the first turn says how long compiling takes.
        variables = {"TORCHINDUCTOR_CACHE_DIR": str(self.scratch / "inductor")}
        return python, ["-m", "benchmarks.peers", str(result), contender, *numbers], variables


def by_gradus(job: Job, engine: str, result: Path) -> list[str]:
    """The command line that does the job, and leaves what it measured in ``result``."""
    options: dict[str, Any] = {
        "method": job.method, "lr": LR, "batch-size": job.batch_size, "epochs": job.epochs,
        "sampling": "sequential", "seed": SEED, "engine": engine, "device": "cpu",
        "log-every": LOG_EVERY, "validation-fraction": 0,
    }  # fmt: skip
    if job.method == "sgd":
        options["momentum"] = MOMENTUM
    arguments = ["train", *job.data, *(f"--{name}={value}" for name, value in options.items())]
    return ["-m", "benchmarks.command", str(result), str(result.with_suffix("")), *arguments]


def read(
    result: Path, cost: processes.Cost, job: Job, contender: str, turn: int = 1
) -> Measurement:
    """What a contender has written, with what its process cost."""
    told = json.loads(result.read_text(encoding="utf-8"))
    seconds = [ended - began for began, ended in told["epochs"]]
    first_step_at = told.get("first_step_at")
    return Measurement(
        turn=turn,
        method=job.method,
        batch_size=job.batch_size,
        samples=job.samples,
        contender=contender,
        epochs=told["epochs"],
        train=statistics.median(seconds[1:] or seconds),
        test=told["test_seconds"],
        test_loss=told["test_loss"],
        compile=told.get("compile_seconds"),
        form=told.get("form"),
        peak=cost.peak,
        first_step=None if first_step_at is None else first_step_at - cost.started,
        whole=cost.wall,
        others=cost.others,
    )
