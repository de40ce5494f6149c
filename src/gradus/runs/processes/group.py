"""The processes that train a run, joined: what goes between them, and what ends them together."""

from __future__ import annotations

import json
import os
import platform
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from gradus._version import __version__
from gradus.errors import InputError, ProcessLostError, reason
from gradus.runs.processes.environment import in_environment

if TYPE_CHECKING:
    from gradus.runs.processes.children import Children

JOIN_SECONDS = 600.0
"""Within so much time all have to come."""

BEAT_SECONDS, SILENT_BEATS = 3.0, 6
"""How often each shows that it is alive, and after how many beats without a sign it is lost: a
machine without power closes no connection."""

STORE_SECONDS = 15.0
"""What the store has not answered by then it does not answer: the machine that keeps it is lost."""

LOOK_SECONDS = 0.05
"""How often one looks who has come."""

NO_LIMIT = timedelta(days=365)
"""How long one may wait for what the others compute: as long as they are alive."""


@final
class Processes:
    """What one of several processes knows of the others.

    Args:
        store: where each finds what others have left, a ``torch.distributed.Store``.
        rank: which of them this one is.
        size: how many there are.
        children: those that this one has started, if it has.

    Raises:
        InputError: they do not all come, or run other versions.
        ProcessLostError: one has ended meanwhile.
    """

    def __init__(self, store: Any, rank: int, size: int, children: Children | None = None) -> None:
        self.rank, self.size = rank, size
        self._store, self._children = store, children
        self._lost: str | None = None
        self._closing = threading.Event()
        self._devices: Any = None
        store.set(_beat(rank), "0")
        store.set(f"version/{rank}", json.dumps(_versions()))
        self._meet()
        self._check_versions()
        before = _sockets()
        with self._ending():
            self._group = _gloo(store, rank, size, local=children is not None or _is_child())
        self._connections = _sockets() - before
        self._watch = threading.Thread(target=self._watched, args=(store.clone(),), daemon=True)
        self._watch.start()

    def added(self, values: Tensor) -> Tensor:
        """The sum of what each gives, the same for all to the bit.

        Raises:
            ProcessLostError: one of them has ended.
        """
        with self._ending():
            self._group_on(values.device).allreduce([values]).wait()
        return values

    def said(self, content: bytes = b"") -> bytes:
        """What process 0 says, to all.

        Raises:
            ProcessLostError: one of them has ended.
        """
        length = torch.tensor([len(content)])
        with self._ending():
            self._group.broadcast(length, 0).wait()
            if not length:
                return b""
            data = torch.empty(int(length), dtype=torch.uint8)
            if self.rank == 0:
                data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            self._group.broadcast(data, 0).wait()
        return data.numpy().tobytes()

    def fails(self, error: BaseException) -> None:
        """Leave to the others why this one ends."""
        said = str(error) if isinstance(error, InputError) else reason(error)
        self._leave(said or type(error).__name__)

    def close(self) -> None:
        """End what is between them: who still waits for this one waits no longer."""
        self._leave("has ended")
        self._closing.set()
        self._watch.join()
        self._group = self._devices = None

    def _leave(self, said: str) -> None:
        with suppress(RuntimeError):
            if not self._store.check([_failure(self.rank)]):
                self._store.set(_failure(self.rank), said)

    def _group_on(self, device: torch.device) -> Any:
        if device.type == "cpu":
            return self._group
        if self._devices is None:
            torch.cuda.set_device(device)
            nccl = distributed().ProcessGroupNCCL
            store = distributed().PrefixStore("devices", self._store)
            self._devices = nccl(store, self.rank, self.size, nccl.Options())
        return self._devices

    def _meet(self) -> None:
        """Wait until all have come."""
        began = time.monotonic()
        for rank in range(self.size):
            while not self._store.check([f"version/{rank}"]):
                if self._children is not None and (ended := self._children.ended()):
                    raise ProcessLostError(ended)
                if time.monotonic() - began > JOIN_SECONDS:
                    raise InputError(
                        f"process {rank} of {self.size} did not come within "
                        f"{JOIN_SECONDS / 60:.0f} minutes; start all of them, with one "
                        "MASTER_ADDR and MASTER_PORT"
                    )
                time.sleep(LOOK_SECONDS)

    def _check_versions(self) -> None:
        first = json.loads(self._store.get("version/0"))
        others = range(1, self.size) if self.rank == 0 else [self.rank]
        for rank in others:
            found = json.loads(self._store.get(f"version/{rank}"))
            for name, version in first.items():
                if found[name] != version:
                    raise InputError(
                        f"process {rank} runs {name} {found[name]} and process 0 {version}: "
                        "install the same on all machines"
                    )

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Within, what torch says of a lost connection is said in one line."""
        try:
            yield
        except RuntimeError as error:
            raise self._why(error) from None

    def _why(self, error: Exception) -> ProcessLostError:
        """Who has ended, and why, as far as it is known."""
        deadline = time.monotonic() + 2.0  # what a process leaves comes with its end, or after it
        others = [rank for rank in range(self.size) if rank != self.rank]
        while time.monotonic() < deadline and self._lost is None:
            for rank in others:
                with suppress(RuntimeError):
                    if self._store.check([_failure(rank)]):
                        said = self._store.get(_failure(rank)).decode()
                        lost = ProcessLostError(f"process {rank} of {self.size}: {said}")
                        lost.is_said = rank == 0
                        return lost
            if self._children is not None and (ended := self._children.ended()):
                return ProcessLostError(ended)
            time.sleep(0.1)
        if self._lost is not None:
            return ProcessLostError(self._lost)
        if "onnection" not in str(error):
            return ProcessLostError(f"the processes of this run cannot go on: {reason(error)}")
        return ProcessLostError(f"one of the {self.size} processes of this run has ended")

    def _watched(self, store: Any) -> None:
        """Show that this one is alive, and see whether others are: process 0 all, they it."""
        others = [0] if self.rank else list(range(1, self.size))
        store.set_timeout(timedelta(seconds=STORE_SECONDS))
        last: dict[int, tuple[bytes, int]] = dict.fromkeys(others, (b"", 0))
        beat = 0
        while not self._closing.wait(BEAT_SECONDS):
            beat += 1
            try:
                store.set(_beat(self.rank), str(beat))
                seen = store.multi_get([_beat(rank) for rank in others])
            except RuntimeError:
                return self._cut(0)
            for rank, value in zip(others, seen, strict=True):
                before, silent = last[rank]
                silent = silent + 1 if value == before else 0
                if silent >= SILENT_BEATS:
                    return self._cut(rank)
                last[rank] = value, silent
        return None

    def _cut(self, rank: int) -> None:
        """Close the connections, so that nobody waits for a process that is lost."""
        if self._closing.is_set():
            return
        self._lost = f"process {rank} of {self.size} is silent"
        for descriptor in self._connections:
            with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
                connection.getpeername()
                connection.shutdown(socket.SHUT_RDWR)
        if self._devices is not None:
            self._devices.abort()


@contextmanager
def joined(make: Callable[[], Processes]) -> Iterator[Processes]:
    """Within, processes work together; where this one fails the others hear of it.

    Args:
        make: joins them.
    """
    processes = make()
    try:
        yield processes
    except ProcessLostError:
        raise
    except BaseException as error:
        processes.fails(error)
        raise
    finally:
        processes.close()


def of_environment() -> Processes:
    """Join the processes that ``torchrun`` has started.

    Raises:
        InputError: they cannot be reached.
    """
    dist, where = distributed(), in_environment()
    assert where is not None
    at = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        limit = timedelta(seconds=JOIN_SECONDS)
        store, rank, size = next(dist.rendezvous("env://", *where, timeout=limit))
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"MASTER_ADDR:MASTER_PORT {at}: processes cannot meet there: {reason(error)}"
        ) from None
    return Processes(dist.PrefixStore("gradus", store), rank, size)


def device_of(device: torch.device, processes: Processes) -> torch.device:
    """The device of this process: of several GPUs of a machine each has its own.

    Raises:
        InputError: there are not enough.
    """
    if device.type != "cuda":
        return device
    local = int(os.environ.get("LOCAL_RANK", processes.rank))
    there = torch.cuda.device_count()
    if local >= there:
        raise InputError(
            f"--processes {processes.size}: each takes a GPU, and there are {there}; give fewer, "
            "or --device cpu"
        )
    return torch.device("cuda", local)


def distributed() -> Any:
    """``torch.distributed``, whose stubs name little of it.

    Raises:
        InputError: this torch was built without it.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_gloo_available()):
        raise InputError("this build of torch has no torch.distributed with gloo; install another")
    return dist


CHILD = "GRADUS_CHILD"
"""Set in the environment of processes that another has started on its own machine."""


def _is_child() -> bool:
    return CHILD in os.environ


def _gloo(store: Any, rank: int, size: int, *, local: bool) -> Any:
    """What adds up over processes; between those of one machine, whatever its name resolves to."""
    dist = distributed()
    options = dist.ProcessGroupGloo._Options()
    options._timeout = NO_LIMIT
    device = dist.ProcessGroupGloo.create_default_device()
    if local:
        device = dist.ProcessGroupGloo.create_device(hostname="127.0.0.1")
    options._devices = [device]
    return dist.ProcessGroupGloo(dist.PrefixStore("sums", store), rank, size, options)


def _versions() -> Mapping[str, str]:
    return {"gradus": __version__, "torch": torch.__version__, "python": platform.python_version()}


def _beat(rank: int) -> str:
    return f"beat/{rank}"


def _failure(rank: int) -> str:
    return f"failed/{rank}"


def _sockets() -> set[int]:
    """The open sockets of this process."""
    found = set()
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.add(int(name))
    return found
