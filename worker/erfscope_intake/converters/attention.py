"""Attention and rotary embedding (opset 23 on), as plain products and softmax, so that a tape sees inside."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import Node, converts


def _heads(x: Tensor, heads: int) -> Tensor:
    """(N, L, heads · D) as (N, heads, L, D); four axes stay as they are."""
    return x if x.ndim == 4 else x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def _hidden(allowed: Tensor, like: Tensor) -> Tensor:
    """A boolean mask as something to add."""
    zeros = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    return zeros.masked_fill(~allowed, -math.inf)


def _mask(mask: Tensor, keys: int, like: Tensor) -> Tensor:
    """The node's own mask as something to add, hidden beyond its length."""
    mask = _hidden(mask, like) if mask.dtype is torch.bool else mask
    short = keys - mask.shape[-1]
    return F.pad(mask, [0, short], value=-math.inf) if short > 0 else mask


def _reach(node: Node, q: Tensor, keys: int, offsets: Tensor) -> Tensor | None:
    """Which keys each query may look at by its position: causal, and windows to the left and right."""
    left, right = node.int("left_window_size", -1), node.int("right_window_size", -1)
    causal = bool(node.int("is_causal", 0))
    if not causal and left < 0 and right < 0:
        return None
    query = torch.arange(q.shape[2], device=q.device)[:, None] + offsets.to(q.device)[:, None, None, None]
    key = torch.arange(keys, device=q.device)
    allowed = torch.ones(torch.Size((*offsets.shape, 1, q.shape[2], keys)), dtype=torch.bool, device=q.device)
    allowed = allowed & (key <= query) if causal else allowed
    allowed = allowed & (key >= query - left) if left >= 0 else allowed
    return allowed & (key <= query + right) if right >= 0 else allowed


def _bias(node: Node, q: Tensor, keys: int, past: int, mask: Tensor | None, lengths: Tensor | None) -> Tensor | None:
    """Everything that is added to the scores, or None."""
    terms = [] if mask is None else [_mask(mask, keys, q)]
    offsets = torch.tensor([past]) if lengths is None else lengths.cpu() - q.shape[2]
    allowed = _reach(node, q, keys, offsets)
    if allowed is not None:
        terms.append(_hidden(allowed, q))
    if lengths is not None:
        filled = torch.arange(keys, device=q.device) < lengths.to(q.device).reshape(-1, 1, 1, 1)
        terms.append(_hidden(filled, q))
    return sum(terms[1:], terms[0]) if terms else None


@converts("Attention", since=23, reads=(6,))
def attention(
    node: Node,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """Scaled dot-product attention with grouped heads, masks, windows, soft cap and cached keys."""
    flat = q.ndim == 3
    q = _heads(q, node.int("q_num_heads", 0))
    k, v = (_heads(x, node.int("kv_num_heads", 0)) for x in (k, v))
    past = 0 if past_key is None else past_key.shape[2]
    k = k if past_key is None else torch.cat([past_key, k], 2)
    v = v if past_value is None else torch.cat([past_value, v], 2)
    present = (k, v)
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    stages = _stages(node, q, k, _bias(node, q, k.shape[2], past, mask, lengths))
    y = stages[-1] @ v
    y = y.transpose(1, 2).flatten(2) if flat else y
    stage = stages[node.int("qk_matmul_output_mode", 0)]
    return y if node.outputs == 1 else (y, *present, stage)[: node.outputs]


def _stages(node: Node, q: Tensor, k: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Scores, capped scores, masked scores, weights: in the order of qk_matmul_output_mode."""
    scale = math.sqrt(node.float("scale", 0.0) or 1 / math.sqrt(q.shape[-1]))
    cap = node.float("softcap", 0.0)
    scores = (q * scale) @ (k * scale).transpose(-1, -2)
    capped = cap * torch.tanh(scores / cap) if cap else scores
    masked = capped if bias is None else capped + bias
    weights = torch.softmax(masked, -1)
    if bias is not None:  # a row that may look at nothing answers zero, not NaN
        weights = weights.masked_fill((bias == -math.inf).all(-1, keepdim=True), 0.0)
    return [scores, capped, masked, weights]


@converts("RotaryEmbedding", since=23)
def rotary_embedding(node: Node, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None) -> Tensor:
    """Pairs of features turned by an angle that grows with the position."""
    flat = x.ndim == 3
    heads = node.int("num_heads", 0)
    wide = x.reshape(x.shape[0], x.shape[1], heads, -1) if flat else x.transpose(1, 2)
    size = node.int("rotary_embedding_dim", 0) or wide.shape[-1]
    turned, rest = wide[..., :size], wide[..., size:]
    if positions is not None:
        cos, sin = (t.index_select(0, positions.reshape(-1)).reshape(*positions.shape, -1) for t in (cos, sin))
    cos, sin = cos[..., : size // 2].unsqueeze(2), sin[..., : size // 2].unsqueeze(2)
    if node.int("interleaved", 0):
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
    else:
        a, b = turned[..., : size // 2], turned[..., size // 2 :]
        turned = torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
    y = torch.cat([turned, rest], -1) if rest.shape[-1] else turned
    return y.flatten(2) if flat else y.transpose(1, 2)
