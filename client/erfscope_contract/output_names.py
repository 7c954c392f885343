"""What the nodes of an ONNX file compute, by name, read off its bytes: fast enough to complete a word in a shell."""

from collections.abc import Iterator
from pathlib import Path

from erfscope_contract.named_files import bytes_of
from erfscope_contract.protobuf import BrokenError, fields

_GRAPH, _NODE, _OUTPUT = 7, 1, 2  # field numbers of onnx.proto: ModelProto.graph, GraphProto.node, NodeProto.output


def outputs_in(model: Path) -> list[str]:
    """Names of the tensors that nodes of the main graph compute, in order; none for what is not an ONNX file."""
    with bytes_of(model) as view:
        try:
            return [
                bytes(view[name:end]).decode("utf-8", "replace")
                for graph in _inside(view, (0, len(view)), _GRAPH)
                for node in _inside(view, graph, _NODE)
                for name, end in _inside(view, node, _OUTPUT)
                if end > name
            ]
        except BrokenError:
            return []


def _inside(view: memoryview, message: tuple[int, int], wanted: int) -> Iterator[tuple[int, int]]:
    """Begin and end of every field of a number in a message."""
    for number, _, stop, content in fields(view, *message):
        if number == wanted and content is not None:
            yield content, stop
