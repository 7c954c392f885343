"""Transfers of operators that move or add up elements: they treat squares as they treat values."""

from torch import Tensor

from erfscope_engine.analytic.transfer import (
    Case,
    Transfer,
    argument,
    blanked,
    has_constants,
    linear,
    only_refs,
    transfer,
)
from erfscope_engine.tape import Ref

# Operators of one signal, by the name of the argument that holds it.
MOVED = {
    "view": "self", "_unsafe_view": "self", "reshape": "self", "_reshape_alias": "self", "view_copy": "self",
    "squeeze": "self", "unsqueeze": "self", "squeeze_copy": "self", "unsqueeze_copy": "self", "clone": "self",
    "alias": "self", "contiguous": "self", "lift_fresh": "self", "detach": "self", "permute": "self",
    "permute_copy": "self", "transpose": "self", "transpose_copy": "self", "t": "self", "expand": "self",
    "expand_copy": "self", "slice": "self", "slice_copy": "self", "select": "self", "select_copy": "self",
    "split": "self", "split_with_sizes": "self", "unsafe_split": "self", "chunk": "self", "unsafe_chunk": "self",
    "unbind": "self", "unbind_copy": "self", "flip": "self", "roll": "self", "repeat": "self",
    "pixel_shuffle": "self", "pixel_unshuffle": "self", "channel_shuffle": "self", "native_channel_shuffle": "self",
    "index_select": "self", "index": "self", "_unsafe_index": "self", "gather": "self", "unfold": "self",
    "reflection_pad1d": "self", "reflection_pad2d": "self", "reflection_pad3d": "self", "replication_pad1d": "self",
    "replication_pad2d": "self", "replication_pad3d": "self", "upsample_nearest1d": "self",
    "upsample_nearest2d": "self", "upsample_nearest3d": "self", "_upsample_nearest_exact1d": "self",
    "_upsample_nearest_exact2d": "self", "_upsample_nearest_exact3d": "self", "sum": "self",
}  # fmt: skip


@transfer(*MOVED)
def moved(case: Case) -> Transfer:
    """Elements change places, are repeated or summed; sums count their terms as uncorrelated."""
    only_refs(case, MOVED[case.name])
    return linear(case, case.entry, shifts=False)


@transfer("_to_copy")
def converted(case: Case) -> Transfer:
    """Another number type: moments keep the pass' own."""
    dtype = case.call.arg("dtype")
    if dtype is not None and not dtype.is_floating_point:
        case.refuse("whole numbers have no gradient")
    return linear(case, argument(case.entry, "dtype", None), shifts=False)


@transfer("constant_pad_nd")
def padded(case: Case) -> Transfer:
    """A constant border has no variance."""
    value = case.call.arg("value")
    return linear(case, argument(case.entry, "value", 0), shifts=bool(value))


@transfer("cat", "stack")
def joined(case: Case) -> Transfer:
    """Parts that do not depend on the input have no variance."""
    return linear(case, blanked(case.entry), shifts=has_constants(case.entry))


@transfer("copy", "slice_scatter", "select_scatter")
def written(case: Case) -> Transfer:
    """One tensor written into another."""
    return linear(case, blanked(case.entry), shifts=has_constants(case.entry))


@transfer("masked_fill")
def filled(case: Case) -> Transfer:
    """A constant value at constant places."""
    only_refs(case, "self")
    value = case.call.arg("value")
    zero = value.new_zeros(value.shape) if isinstance(value, Tensor) else 0
    return linear(case, argument(case.entry, "value", zero), shifts=True)


@transfer("where")
def chosen(case: Case) -> Transfer:
    """Places chosen by a constant condition."""
    if isinstance(case.call.arg("condition"), Ref):
        case.refuse("it chooses by a condition that depends on another tensor than what it chooses from")
    return linear(case, blanked(case.entry), shifts=has_constants(case.entry))
