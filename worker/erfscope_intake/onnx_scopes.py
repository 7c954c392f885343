"""Which modules of the exported network hold a node: what PyTorch's exporters write down of `named_modules()`."""

from ast import literal_eval

from onnx import NodeProto

SCOPES = "pkg.torch.onnx.name_scopes"  # metadata of the newer exporter: ['', 'layer4', 'layer4.1', …, 'conv2d_7']
CONVOLUTIONS, WEIGHT = ("Conv", "ConvTranspose"), ".weight"  # the weight is the second input: layer4.1.conv1.weight


def modules_of(node: NodeProto) -> tuple[str, ...]:
    """The qualified names of the modules that hold the node, outermost first; empty where the file tells none."""
    written = next((prop.value for prop in node.metadata_props if prop.key == SCOPES), None)
    return _from_path(node.name) if written is None else _with_owner(node, _from_list(written))


def _from_list(text: str) -> tuple[str, ...]:
    """The last of the list is the node's own name. What is not such a list tells nothing."""
    try:
        names = literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(name for name in names[:-1] if name)


def _with_owner(node: NodeProto, modules: tuple[str, ...]) -> tuple[str, ...]:
    """With the module that owns a convolution's weight: behind a folded BatchNorm the file names that one alone."""
    weight = node.input[1] if node.op_type in CONVOLUTIONS and len(node.input) > 1 else ""
    owner = weight.removesuffix(WEIGHT)
    return (*modules, owner) if modules and weight.endswith(WEIGHT) and owner not in modules else modules


def _from_path(name: str) -> tuple[str, ...]:
    """`/layer4/layer4.0/conv1/Conv`, of the older exporter: layer4, layer4.0, layer4.0.conv1."""
    if not name.startswith("/"):
        return ()
    qualified: list[str] = []
    inside = ""
    for part in name[1:].split("/")[:-1]:
        last = part.removeprefix(f"{inside}.") if inside else part  # a module of a Sequential repeats its parent's name
        qualified.append(f"{qualified[-1]}.{last}" if qualified else last)
        inside = part
    return tuple(qualified)
