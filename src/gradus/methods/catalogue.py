r"""Which methods there are and what each takes, read from their source without running it.

Running it imports PyTorch, which takes seconds; ``gradus train --help`` lists the options of all
methods at once. A dataclass is the one place where the hyper-parameters of a method are declared:
their names, types and defaults are its fields, and what they mean stands in its docstring.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from gradus.methods.notation import written

REQUIRED: Final = object()
"""The default of a hyper-parameter that has none."""

WRAPPER: Final = "Wrapper"
"""What methods around another derive from: they are none of their own."""

LINE = 72
"""Characters up to which a sentence of a docstring is kept whole."""


@dataclass(frozen=True)
class Hyperparameter:
    """One field of a method.

    Attributes:
        annotation: its type, as it is written.
        default: ``REQUIRED`` where there is none.
        meaning: the first sentence that the docstring says of it, in plain text.
    """

    name: str
    annotation: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Entry:
    """A method that can be chosen by its name.

    Attributes:
        name: on the command line.
        class_name: in :mod:`gradus.methods`.
        hyperparameters: in the order of its fields.
        second_order: whether it sees all examples at every step unless it is told otherwise.
        docstring: of its class.
    """

    name: str
    class_name: str
    hyperparameters: tuple[Hyperparameter, ...]
    second_order: bool
    docstring: str

    @property
    def summary(self) -> str:
        """What it is, in its first sentence that is no equation."""
        text = re.sub(r"\$\$.*?\$\$", "", self.docstring, flags=re.DOTALL).strip()
        return _text(re.split(r"\.(?:\s|$)|\n\n", text, maxsplit=1)[0])

    @property
    def equation(self) -> str:
        """The equation of a step, as a terminal writes it."""
        _, latex, _ = self.docstring.split("$$", 2)
        return written(latex)

    def note(self, name: str) -> str:
        """What its list says under a name: ``Cost``, ``Memory``, ``Take it`` or ``Leave it``."""
        return self._said(rf"^- {name}: (.*(?:\n  .*)*)").rstrip(".")

    @property
    def source(self) -> str:
        """Where it was published."""
        return self._said(r"^Source: (.*(?:\n    .*)*)")

    def _said(self, pattern: str) -> str:
        found = re.search(pattern, self.docstring, flags=re.MULTILINE)
        if found is None:
            raise LookupError(f"the docstring of {self.class_name} has no {pattern}")
        return _text(found[1])


@cache
def entries() -> Mapping[str, Entry]:
    """Every method of :mod:`gradus.methods`, by its name; first-order methods come first.

    Methods around another, as ``Proximal``, are none of their own.

    Example:
        >>> from gradus.methods.catalogue import entries
        >>> [field.name for field in entries()["polyak"].hyperparameters]
        ['lr', 'beta']
        >>> entries()["newton-cg"].second_order
        True
    """
    found = [entry for entry, is_around in _found() if not is_around]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.second_order)}


@cache
def wrappers() -> Mapping[str, Entry]:
    """Every method around another, by the name of its class in small letters.

    Example:
        >>> from gradus.methods.catalogue import wrappers
        >>> sorted(wrappers())
        ['averaged', 'lookahead', 'proximal', 'sam']
    """
    return {entry.name: entry for entry, is_around in _found() if is_around}


@cache
def _found() -> Sequence[tuple[Entry, bool]]:
    """All methods, and whether each is around another."""
    classes = {node.name: node for module in _modules() for node in _classes(module)}
    found = []
    for node in classes.values():
        ancestors = set(_ancestors(node, classes))
        if not _is_dataclass(node) or "Method" not in ancestors or node.name == WRAPPER:
            continue
        entry = Entry(
            name_of(node.name),
            node.name,
            tuple(_hyperparameters(node)),
            second_order="SecondOrder" in ancestors,
            docstring=ast.get_docstring(node) or "",
        )
        found.append((entry, WRAPPER in ancestors))
    return found


def name_of(class_name: str) -> str:
    """The name of a class on the command line.

    Example:
        >>> from gradus.methods.catalogue import name_of
        >>> [name_of(name) for name in ("SGD", "AdamW", "RMSprop", "NewtonCG", "GradientDescent")]
        ['sgd', 'adamw', 'rmsprop', 'newton-cg', 'gradient-descent']
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z][A-Za-z])", "-", class_name).lower()


def _modules() -> Iterator[ast.Module]:
    """The modules of the methods, in the order of their names."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def _classes(module: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in module.body if isinstance(node, ast.ClassDef))


def _ancestors(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterator[str]:
    for written_base in node.bases:
        base = written_base.value if isinstance(written_base, ast.Subscript) else written_base
        if isinstance(base, ast.Name):
            yield base.id
            if base.id in classes:
                yield from _ancestors(classes[base.id], classes)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _hyperparameters(node: ast.ClassDef) -> Iterator[Hyperparameter]:
    meanings = _meanings(ast.get_docstring(node) or "")
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name, annotation = field.target.id, ast.unparse(field.annotation)
            default = REQUIRED if field.value is None else ast.literal_eval(field.value)
            yield Hyperparameter(name, annotation, default, meanings.get(name, ""))


def _meanings(docstring: str) -> Mapping[str, str]:
    """What the section of the arguments says of each, its first sentence."""
    _, _, section = inspect.cleandoc(docstring).partition("\nArgs:\n")
    section = re.split(r"\n\n|\n(?=\S)", section, maxsplit=1)[0]
    said = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: _plain(" ".join(text.split())) for name, text in said}


def _plain(text: str) -> str:
    """The first sentence, without marks of LaTeX and reStructuredText."""
    sentence = re.split(r"(?<=[^.])\.(?: |$)", text, maxsplit=1)[0]
    if len(sentence) > LINE:
        sentence = sentence.partition(";")[0]
    return _text(sentence)


def _text(said: str) -> str:
    """One line, without marks of LaTeX and reStructuredText."""
    said = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", " ".join(said.split()))
    said = re.sub(r"\$([^$]*)\$", lambda found: written(found[1]), said)
    return said.replace("`", "")
