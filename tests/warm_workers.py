"""Workers of sweeps as forks of one process that has imported torch: a start then costs no import.

The scheduler sees what it always sees: a process of its own, in a group of its own, that runs
`gradus.sweep.worker.main` on its end of a pipe. How a worker starts by itself is left to what runs
`gradus sweep` as a process: tests of the command line and of crashes.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Pipe

from gradus.sweep.worker_process import WorkerProcess

ROOT = os.path.dirname(os.path.dirname(__file__))


class Forks:
    """The process that forks workers, started when the first one is asked for."""

    def __init__(self):
        self._process = None

    def start_worker(self, folder):
        """Take the place of `gradus.sweep.worker_process.start_worker`."""
        if self._process is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            code = (
                f"import sys; sys.path[:] = {sys.path!r}; import tests.warm_workers as w; w.serve()"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=theirs,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                process_group=0,
            )
            theirs.close()
        ours, theirs = Pipe()
        path = [entry or os.getcwd() for entry in sys.path]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        asked = [str(folder.resolve()), path, os.getcwd(), environment]
        socket.send_fds(self._socket, [json.dumps(asked).encode()], [theirs.fileno()])
        theirs.close()
        return WorkerProcess(Fork(int(self._socket.recv(64)), self._socket), ours)

    def close(self):
        if self._process is not None:
            self._socket.close()
            self._process.wait()


class Fork:
    """A forked worker, as far as a scheduler uses `subprocess.Popen`."""

    def __init__(self, pid, server):
        self.pid, self._server = pid, server
        self._end = os.pidfd_open(pid)

    def wait(self, timeout=None):
        if self._end is not None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", timeout)
            os.close(self._end)
            self._end = None
            self._server.send(json.dumps(self.pid).encode())
            self.returncode = int(self._server.recv(64))
        return self.returncode

    def kill(self):
        if self._end is not None:
            signal.pidfd_send_signal(self._end, signal.SIGKILL)


def serve():
    """Fork a worker for every request on standard input, and tell of those that have ended."""
    import torch

    import gradus.sweep.training
    from gradus.sweep import worker

    assert torch is not None
    assert gradus.sweep.training is not None
    requests = socket.socket(fileno=os.dup(0))
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 1)
        if not message:
            return
        asked = json.loads(message)
        if isinstance(asked, int):
            _, status = os.waitpid(asked, 0)
            requests.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            requests.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            folder, sys.path[:], here, environment = asked
            os.setpgid(0, 0)
            os.chdir(here)
            os.environ.clear()
            os.environ.update(environment)
            worker.main(descriptors[0], folder)
            os._exit(0)
        os.close(descriptors[0])
        requests.send(b"%d" % pid)
