"""Region rules of operators that mix whole axes: reductions, normalisations, softmax, matrix products."""

from typing import Any

from erfscope_engine.regions.interval import Interval, Region, whole, whole_region
from erfscope_engine.regions.table import Call, Needs, broadcast, pointwise, rule
from erfscope_engine.tape import Ref


@rule(
    "mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean", "std_mean", "linalg_vector_norm",
    "norm", "logsumexp", "argmax", "argmin", "any", "all", "median", "aminmax", "count_nonzero", "nansum",
    "mode", "kthvalue", "nanmedian",
)  # fmt: skip
def reduction(call: Call, region: Region) -> Needs:
    """The reduced axes whole, the others by themselves; `max` of two tensors is element by element."""
    (ref, *others) = call.entry.refs
    if others:
        yield from pointwise(call, region)
        return
    shape = call.shape(ref)
    axes = _axes(call, len(shape))
    keep = len(region) == len(shape)
    rest = iter(region)
    back = []
    for axis, extent in enumerate(shape):
        kept = next(rest) if keep or axis not in axes else None
        back.append(whole(extent) if axis in axes or kept is None else kept)
    yield ref, tuple(back)


def _axes(call: Call, rank: int) -> set[int]:
    names = [a.name for a in call.entry.op._schema.arguments]
    given = call.arg("dim") if "dim" in names else None
    if given is None or given == []:
        return set(range(rank))
    return {axis % rank for axis in (given if isinstance(given, (list, tuple)) else [given])} if rank else set()


@rule("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax", "sort", "topk", "cumsum", "cumprod",
      "logcumsumexp", "cummax", "cummin")  # fmt: skip
def along_axis(call: Call, region: Region) -> Needs:
    """One axis whole (a running sum: from its start), the others by themselves."""
    ref = call.entry.refs[0]
    shape = call.shape(ref)
    axis = (call.arg("dim") if call.arg("dim") is not None else -1) % len(shape)
    running = call.entry.op.overloadpacket.__name__.startswith(("cum", "logcum"))
    i = region[axis]
    seen = Interval(0, i.hi) if running and not i.wide else whole(shape[axis])
    yield ref, (*region[:axis], seen, *region[axis + 1 :])


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
      "_batch_norm_with_update", "_batch_norm_no_update", "batch_norm", "miopen_batch_norm")  # fmt: skip
def batch_norm(call: Call, region: Region) -> Needs:
    """Per position with stored statistics, all of it with its own (instance norm folds samples into channels)."""
    names = [a.name for a in call.entry.op._schema.arguments]
    training = call.arg("training") if "training" in names else False
    for ref in call.entry.refs:
        shape = call.shape(ref)
        if len(shape) == 1 and len(region) > 1:  # weight, bias, statistics
            yield ref, (region[1],)
        elif training or len(region) == 1:
            channel = region[1] if len(region) > 1 else region[0]
            yield ref, (whole(shape[0]), channel, *whole_region(shape[2:]))
        else:
            yield ref, region


@rule("native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(call: Call, region: Region) -> Needs:
    """The normalised (last) axes whole."""
    ref = call.arg("input")
    count = len(call.arg("normalized_shape"))
    for item in call.entry.refs:
        shape = call.shape(item)
        if item is ref:
            kept = region[: len(shape) - count]
            yield item, (*kept, *whole_region(shape[len(shape) - count :]))
        else:
            yield item, whole_region(shape)


@rule("native_group_norm", "group_norm")
def group_norm(call: Call, region: Region) -> Needs:
    """Channels and space whole, sample by sample."""
    for ref in call.entry.refs:
        shape = call.shape(ref)
        yield ref, (region[0], *whole_region(shape[1:])) if ref is call.entry.args[0] else whole_region(shape)


@rule("mm", "bmm", "addmm", "baddbmm", "mv", "dot", "addmv", "addbmm", "matmul", "linear", "addr")
def product(call: Call, region: Region) -> Needs:
    """Rows of the left, columns of the right, the contracted axis whole; a bias by broadcasting."""
    name = call.entry.op.overloadpacket.__name__
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        yield from _matrix_product(call, region, bias=name in ("addmm", "baddbmm"))
        return
    for ref in call.entry.refs:  # vectors: rows of the matrix by themselves
        shape = call.shape(ref)
        rows = len(shape) == 2 and len(region) == 1 and region[0].hi <= shape[0]
        yield ref, (region[0], whole(shape[1])) if rows else whole_region(shape)


def _matrix_product(call: Call, region: Region, bias: bool) -> Needs:
    operands: list[Any] = list(call.entry.args[: 3 if bias else 2])
    left, right = operands[-2:]
    batch = region[:-2]
    if isinstance(left, Ref):
        yield left, (*batch, region[-2], whole(call.shape(left)[-1]))
    if isinstance(right, Ref):
        yield right, (*batch, whole(call.shape(right)[-2]), region[-1])
    if bias and isinstance(operands[0], Ref):
        yield operands[0], broadcast(region, call.shape(operands[0]))


@rule(
    "scaled_dot_product_attention", "_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable",
)  # fmt: skip
def attention(call: Call, region: Region) -> Needs:
    """Queries by themselves, keys and values whole, batch and head by themselves."""
    for position, ref in enumerate(call.entry.args[:3]):
        if isinstance(ref, Ref):
            shape = call.shape(ref)
            tokens = region[2] if position == 0 else whole(shape[-2])
            yield ref, (*region[:2], tokens, whole(shape[-1]))
    for ref in call.entry.refs:
        if ref not in call.entry.args[:3]:  # a mask that depends on the input
            yield ref, whole_region(call.shape(ref))
