"""Exports of torchvision's architectures through the real intake and engine: both exporters, several opsets and axes.

Usage: python -m benchmarks.torchvision_matrix [NAME ...] [--json [FILE]] [--keep DIR]

Weights are random; inputs are small where the architecture allows it, VGG's dense head is cut to ten classes. A
variant that torch itself cannot export is not part of the matrix; it is listed below it.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from benchmarks.children import in_child
from benchmarks.onnx_matrix import Outcome, examined, report

PLAIN = {"weights": None}
DENSE = {"weights": None, "weights_backbone": None}


@dataclass(frozen=True)
class Architecture:
    """One network: how torchvision builds it, and on what extent it is exported."""

    build: Callable[..., nn.Module]
    extent: int = 64
    options: Any = None
    cut: str = ""  # a head that is replaced by ten classes

    def made(self) -> nn.Module:
        """The network, in evaluation mode, always with the same random weights."""
        torch.manual_seed(0)
        network = self.build(**(PLAIN if self.options is None else self.options))
        if self.cut:
            setattr(network, self.cut, nn.LazyLinear(10))
        return network.eval()


v = torchvision.models
ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(v.resnet18),
    "resnet50": Architecture(v.resnet50),
    "vgg16": Architecture(v.vgg16, 224, cut="classifier"),
    "mobilenet_v3_small": Architecture(v.mobilenet_v3_small),
    "efficientnet_b0": Architecture(v.efficientnet_b0),
    "convnext_tiny": Architecture(v.convnext_tiny),
    "deeplabv3_mobilenet_v3_large": Architecture(v.segmentation.deeplabv3_mobilenet_v3_large, 96, DENSE),
    "deeplabv3_resnet50": Architecture(v.segmentation.deeplabv3_resnet50, 96, DENSE),
    "fcn_resnet50": Architecture(v.segmentation.fcn_resnet50, 64, DENSE),
    "lraspp_mobilenet_v3_large": Architecture(v.segmentation.lraspp_mobilenet_v3_large, 96, DENSE),
    "googlenet": Architecture(v.googlenet, 64, {"weights": None, "init_weights": False, "aux_logits": False}),
    "inception_v3": Architecture(v.inception_v3, 96, {"weights": None, "init_weights": False}),
    "swin_t": Architecture(v.swin_t),
    "vit_b_16": Architecture(v.vit_b_16, 64, {"weights": None, "image_size": 64}),
    "densenet121": Architecture(v.densenet121),
    "shufflenet_v2_x1_0": Architecture(v.shufflenet_v2_x1_0),
    "regnet_y_400mf": Architecture(v.regnet_y_400mf),
}


@dataclass(frozen=True)
class Variant:
    """One way to export."""

    exporter: str  # "dynamo" or "script"
    opset: int
    dynamic: bool  # batch, height and width left free

    def __str__(self) -> str:
        return f"{self.exporter}-{self.opset}-{'dynamic' if self.dynamic else 'static'}"


VARIANTS = (
    Variant("script", 11, False), Variant("script", 13, True), Variant("script", 17, False),
    Variant("script", 18, True), Variant("script", 20, True), Variant("dynamo", 18, False),
    Variant("dynamo", 18, True), Variant("dynamo", 20, True), Variant("dynamo", 21, False),
)  # fmt: skip
EXPORT_LIMIT = 240.0


class FirstOutput(nn.Module):
    """A segmentation network answers a dictionary; its first entry is exported."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The first output."""
        answered = self.network(image)
        return answered if isinstance(answered, torch.Tensor) else next(iter(answered.values()))


def export(name: str, folder: Path) -> dict[str, str]:
    """Every variant of one architecture into `folder`; what torch refused, by variant."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    architecture = ARCHITECTURES[name]
    network = FirstOutput(architecture.made()).eval()  # the wrapper too: exporters restore its mode on all below it
    image = torch.randn(1, 3, architecture.extent, architecture.extent)
    network(image)  # lazy layers take their extents
    refused = {}
    for variant in VARIANTS:
        try:
            _export(network, image, variant, folder / f"{name}-{variant}.onnx")
        except Exception as error:  # exporters raise whatever they like
            refused[str(variant)] = str(error).strip().split("\n", 1)[0][:160]
    return refused


def _export(network: nn.Module, image: torch.Tensor, variant: Variant, path: Path) -> None:
    free = {0: "batch", 2: "height", 3: "width"}
    options: dict[str, Any] = {"dynamo": False, "dynamic_axes": {"image": free} if variant.dynamic else None}
    if variant.exporter == "dynamo":
        shapes = (dict.fromkeys(free, torch.export.Dim.DYNAMIC),) if variant.dynamic else None
        options = {"dynamo": True, "external_data": False, "dynamic_shapes": shapes}
    torch.onnx.export(
        network, (image,), path, input_names=["image"], opset_version=variant.opset, verbose=False, **options
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ARCHITECTURES)}; all without")
    parser.add_argument("--json", nargs="?", const="-", help="write JSON to FILE, or instead of the table")
    parser.add_argument("--keep", type=Path, help="keep the exported files in this folder")
    given = parser.parse_args()
    outcomes: list[Outcome] = []
    refused: dict[str, str] = {}
    for name in given.names or ARCHITECTURES:
        with tempfile.TemporaryDirectory() as folder:
            place = given.keep or Path(folder)
            ending = in_child(export, name, place, limit=EXPORT_LIMIT * len(VARIANTS))
            told = {"": ending.words} if ending.failure else ending.value
            refused.update({f"{name} {variant}": words for variant, words in told.items()})
            for path in sorted(place.glob(f"{name}-*.onnx")):
                outcomes.append(examined(path, path.name, 60.0))
                print(f"{len(outcomes):3} {outcomes[-1].verdict:16} {path.name}", file=sys.stderr)
    report(outcomes, given.json)
    for name, words in refused.items():
        print(f"torch does not export {name}: {words}", file=sys.stderr if given.json == "-" else sys.stdout)


if __name__ == "__main__":
    main()
