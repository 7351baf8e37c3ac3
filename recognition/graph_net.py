"""A network given as a list of steps, run by torch: what an imported ONNX file becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recognition.onnx_node import GraphError, Node
from recognition.onnx_operators import OPERATORS


@dataclass(frozen=True, slots=True)
class Graph:
    """A network without its weights.

    Names are short words of our own, never the file's.

    nodes: each uses only what is there before it: the input, weights, constants, earlier outputs.
    constants: small integers, as shapes are made of: one number, or a list of them.
    """

    input: str
    output: str
    nodes: tuple[Node, ...]
    constants: dict[str, int | list[int]]

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Graph:
        """What `to_json` gave."""
        nodes = tuple(
            Node(node["op"], tuple(node["inputs"]), node["output"], dict(node["attributes"]))
            for node in value["nodes"]
        )
        return cls(value["input"], value["output"], nodes, dict(value["constants"]))


class GraphNet(nn.Module):
    """Runs a graph. Weights are buffers by their names in the graph.

    Args:
        graph: as `recognition.onnx_file` reads it.
        weights: float32, by name.

    Raises:
        GraphError: an operator is not known.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        unknown = {node.op for node in graph.nodes} - OPERATORS.keys()
        if unknown:
            raise GraphError(f"the operators {', '.join(sorted(unknown))} are not known")
        self.graph = graph
        for name, weight in weights.items():
            self.register_buffer(name, weight)
        self._constants = {
            name: torch.tensor(value, dtype=torch.int64) for name, value in graph.constants.items()
        }
        # What is not needed any more is let go at once: memory stays that of the widest part.
        last_use = {name: place for place, node in enumerate(graph.nodes) for name in node.inputs}
        self._done_after: list[list[str]] = [[] for _ in graph.nodes]
        made = {node.output for node in graph.nodes} | {graph.input}
        for name, place in last_use.items():
            if name in made and name != graph.output:
                self._done_after[place].append(name)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) float32 -> (N, D) float32, for any N whatever the file says.

        Raises:
            GraphError: a step that cannot be done; the message names it.
        """
        result = faces
        for node, value in self.steps(faces):
            if node.output == self.graph.output:
                result = value
        return result

    def steps(self, faces: Tensor) -> Iterator[tuple[Node, Tensor]]:
        """Each node with what it makes, one after the other; raises GraphError as `forward`."""
        values: dict[str, Tensor] = {**self._constants, **dict(self.named_buffers())}
        values[self.graph.input] = faces
        for place, node in enumerate(self.graph.nodes):
            try:
                inputs = [values[name] if name else None for name in node.inputs]
                value = OPERATORS[node.op].run(node, inputs)
            except GraphError as error:
                raise GraphError(f"step {place + 1}, {node.op}: {error}") from error
            except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
                reason = str(error).strip().partition("\n")[0][:200]
                raise GraphError(f"step {place + 1}, {node.op}: {reason}") from error
            yield node, value
            values[node.output] = value
            for name in self._done_after[place]:
                del values[name]
