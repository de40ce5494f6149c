"""A trained model as an ONNX graph: raw rows or arrays go in, predictions come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from gradus._version import __version__
from gradus.data.preparation import AnyPreparation, Arrays, Preparation, Quantities, Sparse
from gradus.data.preparation.moments import Dates, Times
from gradus.data.preparation.names import Names
from gradus.data.preparation.numbers import SOFT, Flags, Numbers
from gradus.errors import MOST_QUOTED, InputError, brief, quoted
from gradus.models.average import Average
from gradus.runs.prediction import model_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

    from gradus.runs.record import Run

OPSET, IR_VERSION = 19, 9
"""The first in which texts can be compared, and what goes with it."""

DIGITS_LOST = 1e-4
"""Of the scale of a column: numbers that float32 rounds further than this are told of."""


class Exported(NamedTuple):
    """An ONNX model, and what is to be said of it."""

    model: ModelProto
    notes: tuple[str, ...]


class Graph:
    """The nodes and constants of a graph under construction; each node has one output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, values: ArrayLike) -> str:
        """A tensor of the graph, and its name; texts are objects."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, operator: str, *inputs: str, gives: str = "", **attributes: Any) -> str:
        """A node, and the name of what it gives."""
        from onnx import helper

        name = gives or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def cast(self, value: str, kind: Any, gives: str = "") -> str:
        """The same in another type of NumPy's."""
        from onnx import helper

        type_of_it = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return self.node("Cast", value, gives=gives, to=type_of_it)

    def columns(self, value: str, at: Sequence[int]) -> str:
        """Some columns of a table."""
        return self.node("Gather", value, self.constant(np.array(at, np.int64)), axis=1)


def exported(run: Run, preparation: AnyPreparation | None) -> Exported:
    """The model of a run as ONNX.

    With the preparation of a table its inputs are ``numbers``, ``[rows, n]``, the columns of
    numbers and flags in their order as they stand in the table, NaN where one is missing; and
    ``names``, ``[rows, k]``, texts, "" where one is missing. Either is left out where no column is
    of its kind. With that
    of arrays the input is ``x`` as arrays hold it, uint8 where they hold bytes; without one
    ``x`` as the model takes it. The outputs are ``prediction``, a name, or
    numbers in the unit of the target; and of classes ``probabilities``.

    Args:
        run: of which the model is exported.
        preparation: what was fitted to its data, None where that was not kept.

    Raises:
        InputError: ONNX is not installed, a column holds dates, or the model has a layer that is
            not known here.
    """
    try:
        from onnx import checker, helper
    except ModuleNotFoundError:
        raise InputError(
            "--to onnx: ONNX is not installed; pip install 'gradus[onnx]', or use --to torch-export"
        ) from None

    graph, dtype = Graph(), np.dtype(run.spec.dtype)
    notes: tuple[str, ...] = ()
    described: dict[str, Any] = {}
    shapes: dict[str, tuple[Any, Sequence[int]]] = {}
    if preparation is None:
        x = "x"
        shapes["x"] = dtype, run.summary["data"]["input_shape"]
    elif preparation.kind == "arrays":
        held = np.dtype(np.uint8) if preparation.holds == "bytes" else dtype
        shapes["x"] = held, preparation.shape
        x = _prepared_arrays(graph, preparation, dtype)
        sizes = ", ".join(map(str, preparation.shape))
        notes += (f"takes x, [rows, {sizes}] {held.name}, as arrays hold it",)
    elif preparation.kind == "sparse":
        shapes["x"] = dtype, preparation.input_shape
        x = _divided(graph, preparation, dtype)
        notes += (f"takes x, [rows, {preparation.columns}] {dtype.name}, zeros and all",)
    else:
        numbers, names = columns_of(preparation)
        x = _prepared(graph, preparation, dtype)
        if missing := preparation.notation.missing_values:
            notes += (f"{brief(', '.join(missing))}: goes in as NaN, or as an empty text",)
        if numbers:
            shapes["numbers"] = dtype, [len(numbers)]
            described["numbers"] = [_described(each) for each in numbers]
            notes += _taken("numbers", dtype.name, numbers), *_rounded(numbers, dtype)
        if names:
            shapes["names"] = np.dtype(object), [len(names)]
            described["names"] = [{"name": each.name} for each in names]
            notes += (_taken("names", "text", names),)
    y = _applied(graph, model_of(run), x)
    results = _results(graph, run, preparation, y, dtype)

    def info(name: str, kind: Any, shape: Sequence[int]) -> Any:
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), ["rows", *shape]
        )

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "gradus",
            [info(name, *shape) for name, shape in shapes.items()],
            [info(name, *shape) for name, shape in results.items()],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="gradus",
        producer_version=__version__,
    )
    if (classes := run.summary["data"]["classes"]) is not None:
        described["classes"] = list(classes)
    else:
        described["targets"] = list(run.summary["data"]["target_names"])
    helper.set_model_props(
        model, {key: json.dumps(value, ensure_ascii=False) for key, value in described.items()}
    )
    checker.check_model(model, full_check=True)
    return Exported(model, notes)


def columns_of(preparation: Preparation) -> tuple[list[Numbers | Flags], list[Names]]:
    """The columns that go in as numbers, and those that go in as names.

    Raises:
        InputError: a column holds dates or times of day.
    """
    numbers: list[Numbers | Flags] = []
    names: list[Names] = []
    for encoder in preparation.encoders:
        if isinstance(encoder, Dates | Times):
            what = "dates" if isinstance(encoder, Dates) else "times of day"
            raise InputError(
                f"--to onnx: column {brief(encoder.name)!r} holds {what}, which do not go into "
                f"ONNX; train without it (--drop {quoted(encoder.name, 60)}), or use --to "
                "torch-export, which takes what is prepared"
            )
        if isinstance(encoder, Names):
            names.append(encoder)
        else:
            numbers.append(encoder)
    return numbers, names


def _taken(what: str, kind: str, columns: Sequence[Numbers | Flags | Names]) -> str:
    shown = ", ".join(brief(quoted(each.name)) for each in columns[:10])
    more = ", .." if len(columns) > 10 else ""
    return f"takes {what}, [rows, {len(columns)}] {kind}: {brief(shown, MOST_QUOTED)}{more}"


def _described(encoder: Numbers | Flags) -> dict[str, Any]:
    flags = encoder.form.flags
    words = {} if flags is None else {"0": flags[0], "1": flags[1]}
    return {"name": encoder.name, **words}


def _rounded(numbers: Sequence[Numbers | Flags], dtype: np.dtype[Any]) -> tuple[str, ...]:
    """Which columns hold numbers of more digits than the type of the input has."""
    return tuple(
        f"column {brief(each.name)!r} holds numbers around {each.centre:g} that differ by "
        f"{each.scale:g}: float32 rounds them by as much as matters; train with --dtype float64 "
        "for an input of that type"
        for each in numbers
        if isinstance(each, Numbers)
        and np.spacing(dtype.type(abs(each.centre))) > DIGITS_LOST * each.scale
    )


def _prepared(graph: Graph, preparation: Preparation, dtype: np.dtype[Any]) -> str:
    """x, from the inputs: in float64, as the preparation is computed elsewhere."""
    numbers, names = columns_of(preparation)
    blocks: list[str] = []
    places: dict[str, list[int]] = {encoder.name: [] for encoder in preparation.encoders}
    width = 0

    def add(block: str, owners: Sequence[str]) -> None:
        """A block of features, each of them belonging to a column."""
        nonlocal width
        blocks.append(block)
        for at, owner in enumerate(owners):
            places[owner].append(width + at)
        width += len(owners)

    if numbers:
        given = graph.cast("numbers", np.float64)
        missing = graph.node("IsNaN", given)
        row = {
            name: graph.constant(
                np.array([[float(getattr(each, name, usual)) for each in numbers]])
            )
            for name, usual in (("fill", 0.0), ("centre", 0.0), ("scale", 1.0))
        }
        filled = graph.node("Where", missing, row["fill"], given)
        scaled = graph.node("Div", graph.node("Sub", filled, row["centre"]), row["scale"])
        drawn_in = [isinstance(each, Numbers) and each.soft for each in numbers]
        if any(drawn_in):
            scaled = graph.node(
                "Where", graph.constant(np.array([drawn_in])), _drawn_in(graph, scaled), scaled
            )
        add(scaled, [each.name for each in numbers])
        for at, each in enumerate(numbers):
            if isinstance(each, Numbers) and each.knots:
                pieces = _pieces(graph, graph.columns(filled, [at]), each)
                add(pieces, [each.name] * (len(each.knots) - 1))
        gaps = [at for at, each in enumerate(numbers) if each.missing]
        if gaps:
            said = graph.cast(graph.columns(missing, gaps), np.float64)
            add(said, [numbers[at].name for at in gaps])
    for at, column in enumerate(names):
        for indicators, count in _indicators(graph, graph.columns("names", [at]), column):
            add(indicators, [column.name] * count)

    order = [place for encoder in preparation.encoders for place in places[encoder.name]]
    everything = graph.node("Concat", *blocks, axis=1)
    return graph.cast(graph.columns(everything, order), dtype)


def _prepared_arrays(graph: Graph, preparation: Arrays, dtype: np.dtype[Any]) -> str:
    """x, from arrays as they are held: numbers in float64, as they are prepared elsewhere."""
    numbers = preparation.holds == "numbers"
    kind = np.dtype(np.float64) if numbers else dtype
    x = graph.cast("x", kind)
    if preparation.fill:
        fill = graph.constant(np.array([preparation.fill], kind))
        x = graph.node("Where", graph.node("IsNaN", x), fill, x)
    if not numbers:
        x = graph.node("Div", x, graph.constant(np.array(preparation.scale, kind)))
    if preparation.centre:
        x = graph.node("Sub", x, graph.constant(np.array(preparation.centre, kind)))
        x = graph.node("Div", x, graph.constant(np.array(preparation.spread, kind)))
    return graph.cast(x, dtype)


def _divided(graph: Graph, preparation: Sparse, dtype: np.dtype[Any]) -> str:
    """x, from sparse inputs made dense."""
    x = graph.cast("x", np.float64)
    if preparation.spread:
        x = graph.node("Div", x, graph.constant(np.array(preparation.spread)))
    return graph.cast(x, dtype)


def _drawn_in(graph: Graph, z: str) -> str:
    r"""$z / \sqrt{1 + (z / 3)^2}$."""
    ratio = graph.node("Div", z, graph.constant(np.array(SOFT)))
    square = graph.node("Mul", ratio, ratio)
    one = graph.constant(np.array(1.0))
    return graph.node("Div", z, graph.node("Sqrt", graph.node("Add", square, one)))


def _pieces(graph: Graph, value: str, column: Numbers) -> str:
    """Where a number stands in each piece."""
    ends = np.array([column.knots])
    above = graph.node("Sub", value, graph.constant(ends[:, :-1]))
    share = graph.node("Div", above, graph.constant(np.diff(ends)))
    ends_of_it = graph.constant(np.array(0.0)), graph.constant(np.array(1.0))
    centred = graph.node(
        "Sub", graph.node("Clip", share, *ends_of_it), graph.constant(np.array([column.means]))
    )
    return graph.node("Mul", centred, graph.constant(np.array(column.height)))


def _indicators(graph: Graph, text: str, column: Names) -> list[tuple[str, int]]:
    """The blocks of features of a column of names, and how many each has."""
    found: list[tuple[str, int]] = []
    missing = graph.node("Equal", text, graph.constant(np.array([[""]], object)))
    known = missing
    if column.names:
        same = graph.node("Equal", text, graph.constant(np.array([column.names], object)))
        own = graph.cast(same, np.float64)
        found.append((own, len(column.names)))
        any_of_them = graph.node("ReduceMax", own, graph.constant(np.array([1], np.int64)))
        known = graph.node("Or", known, graph.cast(any_of_them, np.bool_))
    if column.pooled:
        found.append((graph.cast(graph.node("Not", known), np.float64), 1))
    if column.missing:
        found.append((graph.cast(missing, np.float64), 1))
    return found


def _linear(graph: Graph, layer: nn.Module, x: str) -> str:
    assert isinstance(layer, nn.Linear)
    parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    named = [graph.constant(each.detach().cpu().numpy()) for each in parameters]
    return graph.node("Gemm", x, *named, transB=1)


def _elementwise(operator: str) -> Callable[[Graph, nn.Module, str], str]:
    return lambda graph, layer, x: graph.node(operator, x)


def _unchanged(graph: Graph, layer: nn.Module, x: str) -> str:
    return x


LAYERS: dict[type[nn.Module], Callable[[Graph, nn.Module, str], str]] = {
    nn.Flatten: lambda graph, layer, x: graph.node("Flatten", x, axis=1),
    nn.Linear: _linear,
    nn.ReLU: _elementwise("Relu"),
    nn.Tanh: _elementwise("Tanh"),
    nn.Sigmoid: _elementwise("Sigmoid"),
    nn.LogSoftmax: lambda graph, layer, x: graph.node("LogSoftmax", x, axis=1),
    nn.Identity: _unchanged,
    nn.Dropout: _unchanged,
}
"""The layers that are known, on x as ``[rows, features]``."""


def _applied(graph: Graph, model: nn.Module, x: str) -> str:
    """What a model in ``eval`` mode gives for x."""
    if type(model) is nn.Sequential:
        for layer in model:
            x = _applied(graph, layer, x)
        return x
    if isinstance(model, Average):
        return _averaged(graph, model, x)
    if type(model) not in LAYERS or (isinstance(model, nn.Flatten) and model.start_dim != 1):
        known = ", ".join(sorted(layer.__name__ for layer in LAYERS))
        raise InputError(
            f"--to onnx: the model has a layer {quoted(type(model).__name__)}, and known are "
            f"{known}, one after another; use --to torch-export"
        )
    return LAYERS[type(model)](graph, model, x)


def _averaged(graph: Graph, average: Average, x: str) -> str:
    """The mean of what several nets give; of classes, the logarithm of that of probabilities."""
    given = [_applied(graph, net, x) for net in average.nets]
    if average.classes:
        given = [graph.node("Softmax", outputs, axis=1) for outputs in given]
    total = given[0]
    for outputs in given[1:]:  # their mean in one node is known to few runtimes in float64
        total = graph.node("Add", total, outputs)
    kind = next(average.parameters()).detach().cpu().numpy().dtype
    mean = graph.node("Div", total, graph.constant(np.array(len(given), kind)))
    return graph.node("Log", mean) if average.classes else mean


def _results(
    graph: Graph, run: Run, preparation: AnyPreparation | None, y: str, dtype: np.dtype[Any]
) -> dict[str, tuple[Any, Sequence[int]]]:
    """The outputs by name, with type and shape of a row: what is said of classes or numbers."""
    outputs = graph.cast(y, np.float64)
    if (classes := run.summary["data"]["classes"]) is not None:
        shares = (
            graph.node("Exp", outputs)
            if run.spec.takes_log_probabilities
            else graph.node("Softmax", outputs, axis=1)
        )
        graph.cast(shares, dtype, gives="probabilities")
        decided = graph.node("ArgMax", shares, axis=1, keepdims=0)
        if (threshold := run.threshold) is not None:
            p = graph.node("Gather", shares, graph.constant(np.array(threshold.of)), axis=1)
            above = graph.node("GreaterOrEqual", p, graph.constant(np.array(threshold.at)))
            codes = (graph.constant(np.array(k)) for k in (threshold.of, 1 - threshold.of))
            decided = graph.node("Where", above, *codes)
        graph.node("Gather", graph.constant(np.array(classes, object)), decided, gives="prediction")
        return {
            "prediction": (np.dtype(object), []),
            "probabilities": (dtype, [len(classes)]),
        }
    count = int(run.summary["data"]["outputs"])
    goal = None if preparation is None else preparation.goal
    if isinstance(goal, Quantities):
        scale = graph.constant(np.array([[target.scale for target in goal.targets]]))
        centre = graph.constant(np.array([[target.centre for target in goal.targets]]))
        outputs = graph.node("Add", graph.node("Mul", outputs, scale), centre)
    if count == 1:
        outputs = graph.node("Squeeze", outputs, graph.constant(np.array([1], np.int64)))
    graph.cast(outputs, dtype, gives="prediction")
    return {"prediction": (dtype, [] if count == 1 else [count])}
