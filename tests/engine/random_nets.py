"""Random small networks (hypothesis): strides, dilations, paddings, branches, joins, up- and downsampling."""

from hypothesis import strategies as st
from torch import Tensor, nn

CHANNELS = 4


class Chain(nn.Sequential):
    """Layers one after another."""


class Branches(nn.Module):
    """Same-size branches, summed or concatenated and mixed."""

    def __init__(self, branches: list[nn.Module], concat: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.mix = nn.Conv2d(CHANNELS * len(branches), CHANNELS, 1) if concat else None

    def forward(self, x: Tensor) -> Tensor:
        import torch

        outs = [branch(x) for branch in self.branches]
        return self.mix(torch.cat(outs, 1)) if self.mix else sum(outs[1:], outs[0])


def _conv(k: int, s: int, d: int, p: int) -> nn.Module:
    return nn.Conv2d(CHANNELS, CHANNELS, k, stride=s, dilation=d, padding=p)


same_conv = st.builds(lambda k, d: _conv(2 * k + 1, 1, d, d * k), st.integers(0, 2), st.integers(1, 3))
same_pool = st.sampled_from([(3, 1), (5, 2)]).map(lambda kp: nn.MaxPool2d(kp[0], 1, kp[1]))
branches = st.builds(Branches, st.lists(st.one_of(same_conv, same_pool), min_size=2, max_size=3), st.booleans())
strided = st.builds(_conv, st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
pools = st.builds(
    lambda kind, k, s, ceil: kind(k, s, padding=0, ceil_mode=ceil),
    st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
upsampling = st.one_of(
    st.sampled_from([2, 3]).map(lambda f: nn.Upsample(scale_factor=f, mode="nearest")),
    st.sampled_from([2, 3]).map(lambda f: nn.Upsample(scale_factor=f, mode="bilinear")),
    st.builds(
        lambda k, s, p: nn.ConvTranspose2d(CHANNELS, CHANNELS, k, s, min(p, k - 1)),
        st.integers(2, 4),
        st.integers(1, 3),
        st.integers(0, 1),
    ),
    st.just(nn.Sequential(nn.Conv2d(CHANNELS, 4 * CHANNELS, 1), nn.PixelShuffle(2))),
)
pads = st.one_of(
    st.integers(1, 2).map(nn.ZeroPad2d),
    st.integers(1, 2).map(nn.ReplicationPad2d),
    st.integers(1, 2).map(nn.ReflectionPad2d),
)
activations = st.sampled_from([nn.ReLU, nn.Tanh, nn.SiLU]).map(lambda kind: kind())
networks = st.lists(
    st.one_of(strided, pools, branches, upsampling, pads, same_conv, activations), min_size=1, max_size=6
).map(lambda layers: Chain(*layers))


def weighed(module: nn.Module, seed: int = 0) -> nn.Module:
    """A float64 copy whose weights depend on `seed` alone: hypothesis runs an example more than once."""
    import copy

    import torch

    clone = copy.deepcopy(module).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in clone.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 3
    return clone


def linearised(module: nn.Module) -> nn.Module:
    """A copy whose gradient is positive exactly where the network can look: positive weights, no kinks."""
    import copy

    clone = copy.deepcopy(module)
    for parameter in clone.parameters():
        parameter.data = parameter.data.abs() + 0.1
    return _without_kinks(clone)


def _without_kinks(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, (nn.ReLU, nn.Tanh, nn.SiLU)):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.MaxPool2d | nn.MaxPool3d):
            kind = nn.AvgPool2d if isinstance(child, nn.MaxPool2d) else nn.AvgPool3d
            setattr(module, name, kind(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode))
        else:
            _without_kinks(child)
    return module
