"""Whatever happens to a file that Gradus reads: it opens, or is refused in one line.

Ten thousand mutations with a fixed seed are the long form (``GRADUS_MUTATIONS`` for another
number); the short one takes the first of each reader. Each is opened in a process of bounded memory
and time (``child.py``).
"""

import json
import os
import subprocess
import sys

import pytest

from tests.fuzz.readers import READERS

MUTATIONS = int(os.environ.get("GRADUS_MUTATIONS", "10000"))
"""Of the long form, over all readers."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a whole example under the name of each reader."""
    folder = tmp_path_factory.mktemp("whole")
    made = {}

    def example(name):
        make = READERS[name].make
        if make not in made:
            (folder / name).mkdir()
            with pytest.MonkeyPatch.context() as patched:
                patched.chdir(folder / name)
                make(folder / name)
            made[make] = folder / name
        elif not (folder / name).exists():
            (folder / name).symlink_to(made[make])
        return folder

    return example


def faults(folder, counts):
    """What went wrong in so many mutations of each reader.

    Where a process dies another goes on behind the mutation that it died of.
    """
    found, jobs = [], [(name, 0, count) for name, count in counts.items()]
    while jobs:
        arguments = [f"{name}:{first}:{count}" for name, first, count in jobs]
        command = [sys.executable, "-m", "tests.fuzz.child", str(folder), *arguments]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = child.stdout.splitlines()
        found += [json.loads(line) for line in lines if line.startswith("{")]
        if lines and lines[-1] == "done":
            return found
        started = [line.split(":") for line in lines if not line.startswith("{")]
        assert started, child.stderr[-3000:]
        last, number = started[-1][0], int(started[-1][1])
        died = f"the process ended with code {child.returncode}: {child.stderr[-1000:]}"
        found.append({"reader": last, "number": number, "fault": died})
        names = [name for name, _, _ in jobs]
        left = counts[last] - number - 1
        jobs = [(last, number + 1, left), *jobs[names.index(last) + 1 :]]
    return found


def test_damaged_files_open_or_are_refused_in_one_line(whole):
    # A new sweep takes longest to make; the one that was kept is read by the same code.
    names = READERS.keys() - {"sweep", "store"}
    for name in sorted(names):
        folder = whole(name)
    assert faults(folder, {name: READERS[name].share // 2 for name in sorted(names)}) == []


@pytest.mark.long
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_mutations(whole, name):
    shares = sum(reader.share for reader in READERS.values())
    found = faults(whole(name), {name: MUTATIONS * READERS[name].share // shares})
    assert found == [], "\n".join(map(json.dumps, found))
