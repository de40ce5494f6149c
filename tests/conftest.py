"""What all tests share."""

import gc
import os
import signal

import pytest
import torch

from tests.warm_workers import Forks


def pytest_collection_finish():
    """What is imported and collected stays to the end: the collector need not search it again."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(autouse=True, scope="session")
def warm_workers():
    """Sweeps of this process fork their workers: importing torch for each costs seconds."""
    forks = Forks()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gradus.sweep.schedule.start_worker", forks.start_worker)
        yield
    forks.close()


@pytest.fixture(autouse=True, scope="session")
def interrupts_arrive():
    """A shell starts what it puts into the background deaf to Ctrl-C, and its children with it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
