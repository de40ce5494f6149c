"""Processes that Gradus starts as forks of one that has imported torch: a start costs no import.

The first process of a run sees what it always sees: a process of its own, in a group of its own,
that runs `gradus.runs.processes.child.main` on its end of a pipe.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys

IMPORTED = (
    "cloudpickle",
    "gradus.engine.eager",
    "gradus.runs.callbacks",
    "gradus.runs.processes.agreement",
    "gradus.runs.processes.group",
    "gradus.runs.train",
    "safetensors.torch",
    "torch.distributed",
)
ROOT = os.path.dirname(os.path.dirname(__file__))


class Forks:
    """The process that forks children, started when the first one is asked for."""

    def __init__(self):
        self._process = None

    def start_child(self, content, said, variables):
        """Take the place of `gradus.runs.processes.children.start_child`."""
        theirs, ours = os.pipe()
        fork = self._fork({"variables": dict(variables)}, [content, theirs, said])
        os.close(theirs)
        fork.stdin = os.fdopen(ours, "wb")
        return fork

    def _fork(self, asked, descriptors):
        if self._process is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            code = f"import sys; sys.path[:] = {sys.path!r}\nfrom tests import warm_children\n"
            code += "warm_children.serve()"
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=theirs,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                process_group=0,
            )
            theirs.close()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        asked |= {
            "path": [entry or os.getcwd() for entry in sys.path],
            "here": os.getcwd(),
            "environment": environment | asked.get("variables", {}),
        }
        socket.send_fds(self._socket, [json.dumps(asked).encode()], descriptors)
        return Fork(int(self._socket.recv(64)), self._socket)

    def close(self):
        if self._process is not None:
            self._socket.close()
            self._process.wait()


class Fork:
    """A forked process, as far as Gradus uses `subprocess.Popen`."""

    def __init__(self, pid, server):
        self.pid, self._server = pid, server
        self._end = os.pidfd_open(pid)

    def wait(self, timeout=None):
        if self._end is not None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("child", timeout)
            os.close(self._end)
            self._end = None
            self._server.send(json.dumps(self.pid).encode())
            self.returncode = int(self._server.recv(64))
        return self.returncode

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self._end is not None:
            signal.pidfd_send_signal(self._end, signal.SIGKILL)


def serve():
    """Fork a process for every request on standard input, and tell of those that have ended."""
    for name in IMPORTED:
        importlib.import_module(name)
    from gradus.runs.processes import child

    requests = socket.socket(fileno=os.dup(0))
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 3)
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
            os.setpgid(0, 0)
            os.chdir(asked["here"])
            sys.path[:] = asked["path"]
            os.environ.clear()
            os.environ.update(asked["environment"])
            os.dup2(descriptors[1], 0)
            os.dup2(descriptors[2], 2)
            os.close(descriptors[1])
            child.main(descriptors[0])
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(b"%d" % pid)
