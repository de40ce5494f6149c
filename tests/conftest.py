"""What all tests share."""

import gc
import os
import signal

import pytest
import torch

from gradus.sweep.fork_server import POSSIBLE, ForkServer


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported and collected stays to the end: the collector need never search it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The tensors are tiny, and waking a second thread for each would cost most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def one_worker():
    """A worker of a sweep imports torch for more than a second: who needs two asks for them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "sched_getaffinity", lambda process: {0})
        yield


class Lasting:
    """A server of forks for all sweeps of this process: importing torch for each costs seconds."""

    def __init__(self):
        self.server = None

    def __call__(self, workers):
        """Take the place of `gradus.sweep.worker_process.fork_server`."""
        if self.server is None and POSSIBLE:
            self.server = ForkServer()
            self.close, self.server.close = self.server.close, lambda: None
        return self.server


@pytest.fixture(autouse=True, scope="session")
def warm_workers():
    """Sweeps fork their workers, one alone too, from one process that outlives them."""
    lasting = Lasting()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gradus.sweep.worker_process.fork_server", lasting)
        yield
    if lasting.server is not None:
        lasting.close()


@pytest.fixture(autouse=True, scope="session")
def interrupts_arrive():
    """A shell starts what it puts into the background deaf to Ctrl-C, and its children with it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
