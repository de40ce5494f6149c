# mypy: ignore-errors
"""The runs of a sweep in JAX, one after another in one process: as benchmarks/jax_epoch.py.

This runs in the environment of benchmarks/environments.py. The data lie on the device for all
runs; a run is compiled in the form that is usual in JAX, with weights [in, out], since a trial of
both forms would take longer than it saves.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.jax_epoch import Network, read, run


def main():
    """Train every run and write how long each took, compiling included."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="JSON file to be written")
    parser.add_argument("initial", type=Path, help="parameters, of benchmarks.initial")
    parser.add_argument("folder", type=Path, help="of the data")
    parser.add_argument("epochs", type=int)
    parser.add_argument("runs", nargs="+", help="METHOD,BATCH,LR,MOMENTUM")
    given = parser.parse_args()
    arrays = list(np.load(given.initial).values())
    initial = list(zip(arrays[::2], arrays[1::2], strict=True))
    kept, held_out = read(given.folder, "train"), read(given.folder, "t10k")
    told = []
    for text in given.runs:
        began = time.perf_counter()
        method, batch_size, lr, momentum = text.split(",")
        network = Network(
            initial,
            method,
            int(batch_size),
            transposed=True,
            lr=float(lr),
            momentum=float(momentum),
        )
        program, compile_seconds = network.compiled(*kept)
        test = jax.jit(network.loss).lower(network.start()[0], *held_out).compile()
        weights, state = network.start()
        for _ in range(given.epochs):
            weights, state = run(program, weights, state, *kept)
            test_loss = float(test(weights, *held_out))
        told.append(
            {
                "seconds": time.perf_counter() - began,
                "compile_seconds": compile_seconds,
                "test_loss": test_loss,
            }
        )
    given.result.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
