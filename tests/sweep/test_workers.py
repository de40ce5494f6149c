"""What workers of this machine hold: little memory of their own, and the lock to the end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradus.runs.lock import locked
from gradus.sweep import worker_process
from gradus.sweep.fork_server import POSSIBLE
from gradus.sweep.messages import Ready

linux = pytest.mark.skipif(not POSSIBLE, reason="workers are forked on Linux only")


def own_memory(pid):
    """MB that a process holds and shares with none."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    fields = (line.split() for line in lines[1:])
    return sum(int(f[1]) for f in fields if f[0] in ("Private_Dirty:", "Private_Clean:")) / 1024


@pytest.fixture
def worker(tmp_path):
    """A forked worker that is ready, and the server that it is a fork of."""
    server = worker_process.fork_server(2)
    worker = worker_process.start_worker(tmp_path, server)
    assert worker.connection.recv() == Ready()
    yield worker, server
    worker.connection.close()
    worker.process.wait()


@linux
def test_what_is_forked_has_one_thread_and_what_it_holds_is_shared(worker):
    forked, server = worker
    assert len(os.listdir(f"/proc/{server.pid}/task")) == 1
    assert own_memory(forked.process.pid) < 80


@linux
def test_how_a_fork_ended_is_known(worker):
    forked, _ = worker
    forked.process.kill()
    assert forked.process.wait() == -9
    assert forked.process.wait() == -9


@linux
def test_where_the_server_is_killed_another_is_started(tmp_path, monkeypatch):
    another = worker_process.fork_server(2)
    crew = worker_process.LocalCrew(tmp_path, 1)
    crew._server = broken = worker_process.ForkServer()
    os.kill(broken.pid, 9)
    broken._process.wait()
    monkeypatch.setattr(worker_process, "ForkServer", lambda: another)
    first = crew.start()
    assert first.connection.recv() == Ready()
    crew.close()


def test_a_folder_is_locked_until_those_that_a_killed_holder_started_have_ended(tmp_path):
    holder = (
        "import os, subprocess, sys; from pathlib import Path\n"
        "from gradus.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])) as lock:\n"
        "    subprocess.Popen(['sleep', '0.4'], pass_fds=[lock]); os._exit(9)"
    )
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = subprocess.call([sys.executable, "-c", holder, str(tmp_path)], env=environment)
    assert code == 9
    with locked(tmp_path):
        assert time.monotonic() - began >= 0.4
