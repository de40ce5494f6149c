"""Workers that are actors of a Ray cluster: data are put once for each node, results come back.

Ray starts actors where their resources are, carries what is said, and knows when a node is gone.
What became of every run is kept by the scheduler, as of workers of this machine, so that no actor
is restarted and no call repeated by Ray: which runs are under way stands in one place.
"""

from __future__ import annotations

import importlib
import math
import mmap
import os
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from gradus.errors import InputError, quoted
from gradus.sweep.backlog import WorkItem
from gradus.sweep.messages import FilesKept, Ready, Task, TaskBatch, WorkerMessage
from gradus.sweep.ray_actor import Place, RunActor, versions
from gradus.sweep.room import FROM_OUTSIDE
from gradus.sweep.split_cache import CAPACITY, CachedSplit
from gradus.sweep.worker import HEARTBEAT_SECONDS
from gradus.sweep.workers import Crew, Ended, Worker

BEATS_A_SECOND = 200
"""So many heartbeats a second arrive at most, however many workers there are."""

Kind = Literal["place", "messages", "sent", "stopped"]
"""What an actor was asked."""


@final
@dataclass(eq=False)
class RayWorker(Worker):
    """An actor, and what was sent to it.

    Attributes:
        place: where it runs, once that is known.
        splits: the numbers of the splits that it has, the oldest first.
        ends: whether it was told to stop.
        is_doubted: whether it could not be reached, so that it may have gone.
    """

    crew: RayCrew
    actor: Any
    place: Place | None = None
    splits: deque[int] = field(default_factory=deque)
    ends: bool = False
    is_doubted: bool = False

    def send(  # noqa: D102
        self, items: Sequence[WorkItem], splits: Sequence[CachedSplit], among: Sequence[int]
    ) -> None:
        new = {each.number: each for each in splits if each.number not in self.splits}
        self.splits.extend(new)
        released = [self.splits.popleft() for _ in range(len(self.splits) - CAPACITY)]
        tasks = [
            Task(item.run, item.spec, each.number, item.until, most)
            for item, each, most in zip(items, splits, among, strict=True)
        ]
        command = tasks[0] if len(tasks) == 1 else TaskBatch(tuple(tasks))
        begun = [FilesKept.of(self.crew.checkpoints / item.run) for item in items]
        shared = [self.crew.shared(each) for each in new.values()]
        self.crew.ask(
            self, "sent", command, [each for each in begun if each.files], [*new], released, *shared
        )
        self.items.extend(items)

    def stop(self) -> None:  # noqa: D102
        self.ends = True
        if self.place is not None:
            self.crew.ask(self, "stopped")

    def silent(self, seconds: float) -> str:  # noqa: D102
        where = self.place and f"process {self.place.process} on {self.place.host}"
        return f"a worker ({where}) is silent for {seconds:.0f} s, and the sweep waits for it"


METHODS: dict[Kind, str] = {
    "place": "place", "messages": "messages", "sent": "receive", "stopped": "stop"
}  # fmt: skip


@final
class RayCrew(Crew):
    """Actors of a Ray cluster.

    Args:
        folder: of the sweep.
        on: ``ray``, as the user said it.
        cpus: processors that each reserves; it trains on so many threads.
        gpus: GPUs that each reserves, or a share of one.
        workers: how many are wanted; None: as many as the cluster has room for now.
        most: as many as there are runs.
        is_private: whether each copies its data, since code of the user's may write to them.

    Raises:
        InputError: Ray is not installed, the cluster does not answer, or it has no room.
    """

    def __init__(
        self,
        folder: Path,
        on: str,
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        workers: int | None = None,
        most: int = 1,
        is_private: bool = False,
    ) -> None:
        self._ray = imported(on)
        self.folder, self.on = folder, on
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            self._connect()
        room = self._room(cpus, gpus)
        if workers is None and room == 0:
            self.close()
            raise InputError(
                f"--on {on}: no run fits: the cluster has {_told(self._resources)}, and a run "
                f"takes {cpus:g} processors and {gpus:g} GPUs; "
                "give --workers if more nodes will join"
            )
        self.wanted = min(workers or room, most)
        beat = max(HEARTBEAT_SECONDS, self.wanted / BEATS_A_SECOND)
        groups = {"sent": 1, "messages": 1, "stopped": 1}
        made = self._ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0,
            concurrency_groups=groups,
        )(RunActor)  # fmt: skip
        self._made = partial(made.remote, max(1, math.floor(cpus)), beat, is_private)
        self._workers: list[RayWorker] = []
        self._asked: dict[Any, tuple[RayWorker, Kind]] = {}
        self._shared: OrderedDict[int, Any] = OrderedDict()

    @property
    def checkpoints(self) -> Path:
        """Where the runs under way stand."""
        return self.folder / "checkpoints"

    @property
    def workers(self) -> Sequence[RayWorker]:  # noqa: D102
        return self._workers

    def start(self) -> RayWorker:  # noqa: D102
        worker = RayWorker(self, self._made())
        self._workers.append(worker)
        self.ask(worker, "place")
        return worker

    def ask(self, worker: RayWorker, kind: Kind, *given: Any) -> None:
        """Call a method of an actor; the answer is heard."""
        method = getattr(worker.actor, METHODS[kind])
        if kind != "place":
            method = method.options(concurrency_group=kind)
        self._asked[method.remote(*given)] = worker, kind

    def shared(self, split: CachedSplit) -> Any:
        """What every node gets a split by, once however many of its workers ask for it."""
        if split.number not in self._shared:
            file = split.shared
            memory = mmap.mmap(file.descriptor, file.size, mmap.MAP_SHARED, mmap.PROT_READ)
            content = np.frombuffer(memory, np.uint8)
            self._shared[split.number] = self._ray.put((content, file.split))
            if len(self._shared) > CAPACITY:
                self._shared.popitem(last=False)
        return self._shared[split.number]

    def hear(self, timeout: float) -> list[tuple[Worker, WorkerMessage | Ended]]:  # noqa: D102
        ready, _ = self._ray.wait([*self._asked], num_returns=1, timeout=timeout)
        if ready:
            ready, _ = self._ray.wait([*self._asked], num_returns=len(self._asked), timeout=0)
        heard: list[tuple[Worker, WorkerMessage | Ended]] = []
        for each in ready:
            if each not in self._asked:
                continue  # of a worker that was dismissed meanwhile
            worker, kind = self._asked.pop(each)
            try:
                answer = self._ray.get(each)
            except self._ray.exceptions.ActorUnavailableError:
                self._doubt(worker)
                continue
            except self._ray.exceptions.RayError as error:
                heard.append((worker, self._ended(worker, error)))
                continue
            heard += [(worker, message) for message in self._answered(worker, kind, answer)]
        return heard

    def dismiss(self, worker: Worker) -> Ended:  # noqa: D102
        assert isinstance(worker, RayWorker)
        self._workers.remove(worker)
        self._forget(worker)
        self._ray.kill(worker.actor)
        host = "a node" if worker.place is None else worker.place.host
        return Ended(f"on {host} cannot be reached any more", of_its_run=False)

    def close(self) -> None:  # noqa: D102
        for worker in [*getattr(self, "_workers", ())]:
            self.dismiss(worker)
        if self._is_ours:
            self._ray.shutdown()

    def _answered(self, worker: RayWorker, kind: Kind, answer: Any) -> list[WorkerMessage | Ended]:
        """What the scheduler hears of an answer; the next question is asked."""
        said: list[WorkerMessage | Ended] = []
        if worker.is_doubted:
            return [self.dismiss(worker)]  # what it said meanwhile may be lost
        if kind == "place":
            worker.place = answer
            self._check(answer)
            said.append(Ready())
        elif kind in ("messages", "stopped"):
            for message in answer:
                if isinstance(message, FilesKept):
                    message.write(self.folder)
                elif not isinstance(message, Ready):  # it is ready once its place is known
                    said.append(message)
        if kind in ("place", "messages") and not worker.ends:
            self.ask(worker, "messages")
        elif worker.ends and worker not in {asked for asked, _ in self._asked.values()}:
            said.append(self.dismiss(worker))
        return said

    def _ended(self, worker: RayWorker, error: Exception) -> Ended:
        """How a worker ended of which Ray says that it did."""
        self.dismiss(worker)
        if worker.place is None:
            cause = str(error)
            if "No module named" in cause:
                missing = cause.partition("No module named ")[2].split()[0].rstrip(".")
                raise InputError(
                    f"--on {self.on}: a node lacks the module {missing}: install on every node "
                    "what is installed here"
                ) from None
            return Ended(f"could not start on {self.on}: {cause.strip().splitlines()[-1]}")
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        host = worker.place.host
        if worker.place.node not in alive:
            return Ended(f"has gone with its node, {host}", of_its_run=False)
        if not isinstance(error, self._ray.exceptions.ActorDiedError):
            return Ended(f"on {host} was lost ({type(error).__name__})", of_its_run=False)
        return Ended(f"(process {worker.place.process} on {host}) has died")

    def _doubt(self, worker: RayWorker) -> None:
        """Ask one that cannot be reached now once more: the answer is what became of it."""
        self._forget(worker)
        worker.is_doubted = True
        self.ask(worker, "place")

    def _forget(self, worker: RayWorker) -> None:
        """Listen no more to what it was asked."""
        self._asked = {ref: asked for ref, asked in self._asked.items() if asked[0] is not worker}

    def _check(self, place: Place) -> None:
        """Refuse a node where runs would end otherwise."""
        for package, version in versions().items():
            if place.versions[package] != version:
                raise InputError(
                    f"--on {self.on}: {place.host} has {package} {place.versions[package]}, and "
                    f"this machine {version}: install the same on every node"
                )

    def _connect(self) -> None:
        if (given := os.environ.get("RAY_ADDRESS", "")).startswith("ray://"):
            raise InputError(f"RAY_ADDRESS={quoted(given)}: {FROM_OUTSIDE}")
        try:
            self._ray.init(
                log_to_driver=False, logging_level="ERROR", configure_logging=False,
                include_dashboard=False,
            )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise InputError(
                f"--on {self.on}: the cluster does not answer: {str(error).splitlines()[0]}"
            ) from None

    @property
    def _resources(self) -> dict[str, float]:
        return dict(self._ray.cluster_resources())

    def _room(self, cpus: float, gpus: float) -> int:
        """How many workers fit into the cluster as it is."""
        found = self._resources
        rooms = [found.get(kind, 0.0) / needed for kind, needed in (("CPU", cpus), ("GPU", gpus))
                 if needed > 0]  # fmt: skip
        return math.floor(min(rooms)) if rooms else 1


def imported(on: str) -> Any:
    """Ray.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise InputError(f"--on {on}: needs Ray: pip install gradus[ray]") from None


def _told(resources: dict[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} processors and {resources.get('GPU', 0):g} GPUs"
