"""A program that runs in place leaves what the same operations, each on fresh memory, leave.

The equations of the methods use a few of the ways in which results can stand in one another's
memory; here any straight line of operations is drawn, and any of its results is an output.
"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.optim import program
from gradus.optim.program import Program
from gradus.risk.tensors import Tensors

INPUTS = ("w", "gradient", "m", "v")
SHAPES = ((3, 2), (), (11,), (1,))

BINARY = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "over": lambda a, b: a / (b * b + 1.0),
    "maximum": lambda a, b: a.maximum(b),
    "lerp": lambda a, b: a.lerp(b, 0.3),
    "fused": lambda a, b: a - 0.5 * a * b,
    "scaled": lambda a, b: a * 0.9 + b * 0.1,
}
UNARY = {
    "negated": lambda a: -a,
    "square": lambda a: a.square(),
    "root": lambda a: (a * a).sqrt(),
    "shifted": lambda a: a + 0.25,
    "halved": lambda a: a / 2.0,
    "put off": lambda a: 3.0 * a,
}

operation = st.tuples(st.sampled_from([*BINARY, *UNARY]), st.integers(0, 20), st.integers(0, 20))
# Which earlier vector each output is; what is no input is new.
outputs = st.dictionaries(st.sampled_from(["w", "m", "v", "new", "other"]), st.integers(0, 20))


def carried_out(lines, vectors):
    """The vectors, and after them the results of the lines."""
    values = list(vectors)
    for name, first, second in lines:
        a, b = values[first % len(values)], values[second % len(values)]
        values.append(BINARY[name](a, b) if name in BINARY else UNARY[name](a))
    return values


def drawn():
    random = torch.Generator().manual_seed(0)
    return {name: [torch.randn(shape, generator=random) for shape in SHAPES] for name in INPUTS}


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    lines=st.lists(operation, max_size=8),
    chosen=outputs,
    piece=st.sampled_from([2, 8, 10**6]),
)
def test_a_program_run_in_place_leaves_what_its_equation_makes(lines, chosen, piece):
    fresh = carried_out(lines, [Tensors(drawn()[name]) for name in INPUTS])
    expected = {name: fresh[at % len(fresh)].values for name, at in chosen.items()}

    recorded = Program(INPUTS, constant="gradient", dtype=torch.float32)
    symbols = carried_out(lines, [recorded.symbols[name] for name in INPUTS])
    buffers = drawn()
    for name in chosen:
        buffers.setdefault(name, [torch.zeros(shape) for shape in SHAPES])
    held = {name: list(tensors) for name, tensors in buffers.items()}
    before, program.PIECE = program.PIECE, piece
    try:
        recorded.run({name: symbols[at % len(symbols)] for name, at in chosen.items()}, buffers)
    finally:
        program.PIECE = before

    for name, values in expected.items():
        assert all(map(torch.equal, held[name], values)), name
    assert all(map(torch.equal, held["gradient"], drawn()["gradient"]))
