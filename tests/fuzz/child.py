"""A process that opens damaged files, one after another, in bounded memory and time.

    python -m tests.fuzz.child FOLDER READER:FIRST:COUNT ..

FOLDER holds a whole example under the name of each reader. A line on stdout says which mutation is
under way, and one of JSON what was wrong with it, where something was. ``READER:FIRST:1`` does one
of them again.
"""

import contextlib
import faulthandler
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

from gradus.errors import InputError
from tests.fuzz.damage import damage
from tests.fuzz.readers import READERS

ADDRESSES = 3 * 2**30
"""Bytes of address space, of which the libraries take one third."""

MOST_MEMORY = 2 * 2**30
MOST_SECONDS = 20
LONGEST = 400
"""Characters of a message, without the path of the folder."""


def most_memory():
    """Bytes that this program held at most; ``getrusage`` also counts the process that began it."""
    (held,) = re.findall(
        r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE
    )
    return 1024 * int(held)


class TooLongError(BaseException):
    """Opening took longer than it may."""


def main():
    folder, jobs = Path(sys.argv[1]), [job.split(":") for job in sys.argv[2:]]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    shown = os.fdopen(os.dup(1), "w", buffering=1)
    with tempfile.TemporaryDirectory(dir=folder) as beside, contextlib.chdir(beside):
        for name, first, count in jobs:
            for number in range(int(first), int(first) + int(count)):
                print(f"{name}:{number}", file=shown)
                fault = _opened(name, folder / name, Path(beside), number)
                if fault is not None:
                    print(json.dumps(fault), file=shown)
    print("done", file=shown)


def _opened(name, whole, beside, number):
    """Damage a copy and open it; what was wrong, or None."""
    draw = random.Random(f"{name} {number}")
    folder = beside / str(number)
    shutil.copytree(whole, folder)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    what = damage(folder, names, draw)
    os.chdir(folder)
    fault = None
    faulthandler.dump_traceback_later(2 * MOST_SECONDS, exit=True)  # where nothing else is heard
    signal.alarm(MOST_SECONDS)
    try:
        READERS[name].read(folder, np.random.default_rng(number))
    except InputError as error:
        said = str(error).replace(f"{folder}/", "").replace(str(folder), ".")
        if len(said.splitlines()) != 1:
            fault = f"not one line: {said[:500]!r}"
        elif len(said) > LONGEST:
            fault = f"{len(said)} characters: {said[:700]!r}"
    except (Exception, SystemExit, TooLongError) as error:
        last = [line for line in traceback.format_exc().splitlines() if line.strip()]
        fault = f"{type(error).__name__}: " + " | ".join(last[-12:])[-1500:]
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        os.chdir(beside)
        shutil.rmtree(folder, ignore_errors=True)
    memory = most_memory()
    if fault is None and memory > MOST_MEMORY:
        fault = f"{memory / 2**30:.1f} GiB of memory, in this mutation or one before"
    return (
        None
        if fault is None
        else {"reader": name, "number": number, "damage": what, "fault": fault}
    )


def _too_long(signum, frame):
    raise TooLongError(f"over {MOST_SECONDS} s")


if __name__ == "__main__":
    main()
