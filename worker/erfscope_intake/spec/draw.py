"""Draws every weight of a built network: draw k depends on (seed, k, layer name) alone."""

from dataclasses import dataclass

import torch
from torch import nn

from erfscope_contract.architecture import Init, InitOptions
from erfscope_intake.spec import blocks
from erfscope_intake.spec.schemes import (
    Rim,
    box_rim,
    fill_bias,
    fill_mask,
    fill_normal,
    fill_weight,
    stream,
    tap_rim,
)
from erfscope_intake.spec.spread import spread_bias, spread_weight

SCHEMED = (nn.modules.conv._ConvNd, nn.Linear, blocks.SparseConv)
CONSTANT = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.PReLU)  # reset without a generator


@dataclass(frozen=True)
class Drawing:
    """The modules of a network with their names and schemes."""

    modules: tuple[tuple[str, nn.Module, InitOptions], ...]
    seed: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the result must know."""
        dropping = any(isinstance(module, blocks.DropMask) for _, module, _ in self.modules)
        return ("dropout is active: one mask per draw of the weights",) if dropping else ()

    @torch.no_grad()
    def draw(self, draw: int) -> None:
        """Give every weight its value of the draw-th draw, in place."""
        for name, module, options in self.modules:
            for part, leaf in module.named_modules():
                self._draw_leaf(leaf, options, (self.seed, draw, name, part))

    def weights(self) -> list[torch.Tensor]:
        """The tensors that differ between draws, in one order."""
        found: list[torch.Tensor] = []
        for _, module, options in self.modules:
            for leaf in module.modules():
                if isinstance(leaf, SCHEMED):
                    found.append(leaf.weight)
                    if leaf.bias is not None and options.scheme is Init.DEFAULT:  # by other schemes it is 0 always
                        found.append(leaf.bias)
                elif isinstance(leaf, blocks.PositionEmbedding):
                    found.append(leaf.weight)
                elif isinstance(leaf, blocks.DropMask):
                    found.append(leaf.mask)
        return found

    @torch.no_grad()
    def spread(self) -> None:
        """Give every weight the standard deviation of its draws, in place; a dropout mask the root of its mean square.

        Raises ProblemError("unsupported-feature") where weights are not drawn around 0.
        """
        for name, module, options in self.modules:
            for leaf in module.modules():
                if isinstance(leaf, SCHEMED):
                    spread_weight(leaf.weight, options, _rim(leaf), name)
                    if leaf.bias is not None:
                        spread_bias(leaf.bias, leaf.weight, options)
                elif isinstance(leaf, blocks.PositionEmbedding):
                    leaf.weight.zero_()  # it only adds to the signal
                elif isinstance(leaf, blocks.DropMask):
                    leaf.mask.fill_((1 - leaf.p) ** -0.5)
                elif isinstance(leaf, CONSTANT):
                    leaf.reset_parameters()

    def _draw_leaf(self, leaf: nn.Module, options: InitOptions, key: tuple[object, ...]) -> None:
        if _is_meta(leaf):
            return
        if isinstance(leaf, SCHEMED):
            fill_weight(leaf.weight, options, stream(*key, "weight"), _rim(leaf))
            if leaf.bias is not None:
                fill_bias(leaf.bias, leaf.weight, options, stream(*key, "bias"))
        elif isinstance(leaf, blocks.PositionEmbedding):
            fill_normal(leaf.weight, stream(*key), leaf.std)
        elif isinstance(leaf, blocks.DropMask):
            fill_mask(leaf.mask, stream(*key), leaf.p)
        elif isinstance(leaf, CONSTANT):
            leaf.reset_parameters()


def _is_meta(leaf: nn.Module) -> bool:
    own = [*leaf.parameters(recurse=False), *leaf.buffers(recurse=False)]
    return bool(own) and own[0].is_meta


def _rim(leaf: nn.Module) -> Rim:
    if isinstance(leaf, blocks.SparseConv):
        return tap_rim(leaf.offsets)
    return box_rim(leaf.weight.shape[2:]) if isinstance(leaf, nn.modules.conv._ConvNd) else box_rim(())
