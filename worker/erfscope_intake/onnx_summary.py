"""What is in an ONNX file: inputs, outputs, operators, and which of them cannot be converted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnx import ModelProto, NodeProto, TensorProto

from erfscope_intake.converters import TABLE
from erfscope_intake.onnx_audit import graphs, read_model
from erfscope_intake.onnx_behind import registered
from erfscope_intake.onnx_control import CONTROL, OLDEST_SCAN
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_graph import domain_of
from erfscope_intake.onnx_inputs import declared_inputs


@dataclass(frozen=True)
class InputInfo:
    """One input as the file declares it; None where an extent is free."""

    name: str
    type: str
    shape: list[int | None]


@dataclass(frozen=True)
class OnnxSummary:
    """What is in a file: operators by number, and those that cannot be converted."""

    name: str
    inputs: list[InputInfo]
    outputs: list[str]
    operators: dict[str, int]
    unsupported: list[str] = field(default_factory=list)


def versions_of(model: ModelProto) -> dict[str, int]:
    """Operator set version by domain."""
    return {domain_of(entry.domain): entry.version for entry in model.opset_import}


def describe_onnx(path: Path, data: Sent | None = None) -> OnnxSummary:
    """What is in the file, converted or not; raises ProblemError where the audit refuses it."""
    model = read_model(path, data).proto
    versions = versions_of(model)
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    operators = Counter(_qualified(node) for node in nodes)
    bad = sorted({_qualified(node) for node in nodes if not convertible(node, versions)})
    inputs = [InputInfo(one.name, _type_name(one.element), list(one.extents)) for one in declared_inputs(model.graph)]
    outputs = [value.name for value in model.graph.output]
    return OnnxSummary(model.graph.name or path.stem, inputs, outputs, dict(operators.most_common()), bad)


def convertible(node: NodeProto, versions: Mapping[str, int]) -> bool:
    """Whether a converter exists for a node's operator."""
    domain = domain_of(node.domain)
    if domain == "" and node.op_type in CONTROL:
        return node.op_type != "Scan" or versions.get("", 0) >= OLDEST_SCAN
    if (domain, node.op_type) in TABLE:
        return True
    return domain == "" and registered(node.op_type, domain, versions.get(domain, 0)) is not None


def _qualified(node: NodeProto) -> str:
    return f"{domain_of(node.domain)}::{node.op_type}" if domain_of(node.domain) else node.op_type


def _type_name(element: int) -> str:
    return TensorProto.DataType.Name(element).lower() if element in TensorProto.DataType.values() else str(element)
