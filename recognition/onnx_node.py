"""A step of a graph, and how an operator is told to the executor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


class GraphError(ValueError):
    """A graph that cannot be run here. The message says which part and why."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a graph.

    inputs: names of values; an empty one is left out.
    output: name of the first output, the only one that is ever made.
    attributes: numbers, texts and lists of numbers, by ONNX's names.
    """

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


Run = Callable[[Node, list[Any]], Tensor]


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator is run, and what a node of it may have.

    run: given the node and a value for each of its inputs, None for one that is left out.
    """

    run: Run
    inputs: range
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Operators:
    """Operators by ONNX's names."""

    known: dict[str, Operator] = field(default_factory=dict)

    def add(self, name: str, inputs: range, attributes: str = "") -> Callable[[Run], Run]:
        """A decorator that adds a function as an operator.

        Args:
            inputs: how many it takes.
            attributes: names, by spaces.
        """

        def add(run: Run) -> Run:
            self.known[name] = Operator(run, inputs, frozenset(attributes.split()))
            return run

        return add
