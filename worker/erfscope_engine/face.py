"""The library's face: any torch.nn.Module in, receptive fields out."""

from dataclasses import replace
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from erfscope_contract.invalid import field_errors
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import WEIGHT_WORDS, ErfRequest, Weights, choice_of, until_of
from erfscope_engine.arithmetic import torch_dtype
from erfscope_engine.drawn import Make, network_of_draws
from erfscope_engine.layers import Layer
from erfscope_engine.measure import measure_network
from erfscope_engine.measurement import Measurement
from erfscope_engine.module import Shapes, network_of
from erfscope_engine.network import Network
from erfscope_engine.plan import center_place, plan_for
from erfscope_engine.reaches import Extent, Reaches
from erfscope_engine.receptive import ReceptiveField, receptive_field_of
from erfscope_engine.taking import Progress
from erfscope_engine.units import places_of
from erfscope_engine.untrained import note_on_module

# Short names of fields, as the SDK has them: where they belong in an ErfRequest.
SHORT = {
    "layer": "target", "unit": "target", "channels": "target",
    "inputs": "average", "seed": "average", "statistic": "average", "until": "average", "draws": "average",
    "source": "input",
}  # fmt: skip
FIELDS = {"draws": "weights"}  # where a short name is not the field's


def measure(
    module: nn.Module | Make,
    input_shape: Shapes,
    *,
    input_name: str | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = lambda stage, share: None,
    **fields: Any,
) -> Measurement:
    """Measure the ERF of a unit of `module` for inputs of `input_shape` ([C, H, W], no batch).

    `fields` are those of ErfRequest, target={"layer": "layer4", "unit": [3, 3]}, or their short names as in the SDK,
    layer="layer4", unit=[3, 3], inputs=64. `layers` adds the profile along depth: "all", or names, patterns and
    "every:4". protocol="both" adds RepLKNet's r to the numbers. Layers are named as in `module.named_modules()`;
    weights are the module's. With `draws`, give a function without arguments that returns a module with fresh weights
    in `module`'s place, such as torchvision's resnet50: the map is averaged over so many of its networks, and errors
    are over them. It is called with torch's generator seeded by `seed` and the number of the draw. For a module with
    several inputs, `input_shape` has a shape by name and `input_name` is the one to measure. Raises ProblemError.
    """
    request = _request(fields)
    is_drawn = not isinstance(module, nn.Module)
    _check_weights(request, fields.get("weights"), is_drawn=is_drawn)

    def as_network(one: nn.Module) -> Network:
        made = network_of(one, input_shape, dtype=torch_dtype(request.dtype), device=device, input_name=input_name)
        return replace(made, notes=(*made.notes, *([] if is_drawn else note_on_module(one))))

    if isinstance(module, nn.Module):
        network = as_network(module)
    else:
        average = request.average
        network = network_of_draws(module, as_network, seed=average.seed, draws=average.weights)
    return replace(measure_network(network, request, progress=progress), name=network.name)


def _check_weights(request: ErfRequest, word: Any, *, is_drawn: bool) -> None:
    """Refuses to draw weights, naming the arguments that ask for it; `word` is the caller's name of the scheme.

    A function that makes networks draws their weights itself.
    """
    weights, draws = request.weights, request.average.weights
    if weights is Weights.GIVEN and (draws == 1 or is_drawn):
        return
    scheme = "random" if weights is Weights.GIVEN else str(getattr(word, "value", word))
    drawn = [] if weights is Weights.GIVEN else [f"weights={scheme!r}"]
    arguments = [*drawn, *([] if draws == 1 else [f"draws={draws}"])]
    each = (
        f"give a function that returns a new module instead: `measure(make, shape, draws={draws})` averages over its "
        f"networks"
        if draws > 1 or is_drawn
        else "draw the weights before (torch.nn.init.kaiming_normal_)"
    )
    service = f"weights={scheme!r}" + (f", draws={draws}" if draws > 1 else "")
    line = f"--weights {scheme}" + (f" --draws {draws}" if draws > 1 else "")
    raise ProblemError(
        "unsupported-feature",
        f"{' and '.join(arguments)}: a torch.nn.Module in this process is measured with the weights that it has, and "
        f"none are drawn. In Python, {each}: docs/howto/weights.md has the lines. Or let the service draw every "
        f"weight: `erfscope.Client.run(module, {service})`; or export the module to ONNX and run "
        f"`erfscope measure net.onnx {line}`.",
    )


def _request(fields: dict[str, Any]) -> ErfRequest:
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        group = SHORT.get(name)
        if group is None:
            nested[name] = {**nested.get(name, {}), **value} if isinstance(value, dict) else _plain(name, value)
        else:
            nested[group] = {
                **nested.get(group, {}),
                FIELDS.get(name, name): _plain(name, value),
            }
    nested["weights"] = WEIGHT_WORDS.get(nested.get("weights", ""), nested.get("weights", Weights.GIVEN))
    try:
        return ErfRequest.model_validate(nested)
    except ValidationError as error:
        errors = field_errors(error, nested)
        words = "; ".join(f"{each.pointer}: {each.detail}" for each in errors)
        raise ProblemError("invalid-request", f"{words}. Fields are those of ErfRequest.", errors=errors) from None


def _plain(name: str, value: Any) -> Any:
    if name == "until":
        return until_of(value)
    value = choice_of(value) if name == "layers" else value
    return list(value) if isinstance(value, tuple) else value


def receptive_field(
    module: nn.Module,
    input_shape: Shapes,
    *,
    layer: str = "auto",
    unit: tuple[int, ...] | None = None,
    input_name: str | None = None,
) -> ReceptiveField:
    """The exact theoretical receptive field of a unit (the centre by default), from one recording.

    `input_shape` is [C, H, W] without the batch, `layer` a name of `layers_of` or auto, `unit` an index per axis of the
    layer. Nothing is measured, so it takes no samples. The field has `size` and `stride` (pixels per axis), `box`
    (half-open, may stick out of the input), `center`, `is_global` with `widened_by`, `causal`, `alignment` and `reach`.
    Raises ProblemError for a layer or a unit that is not there.
    """
    target = _request({"layer": layer, "unit": "center" if unit is None else unit}).target
    plan = plan_for(network_of(module, input_shape, input_name=input_name), layer, samples=1)
    return receptive_field_of(plan.traced, places_of(target, plan.layer)[0])


def layers_of(module: nn.Module | Network, input_shape: Shapes | None = None) -> tuple[Layer, ...]:
    """The layers of a module (for inputs of `input_shape`) or a network whose units have coordinates, in order.

    Each is printed as its name, operator, shape without the batch and other names (`aliases`), all of which `layer`
    takes. Raises ProblemError without a shape.
    """
    if not isinstance(module, Network):
        if input_shape is None:
            raise ProblemError(
                "invalid-request", "layers_of(module) needs the shape of its input: layers_of(module, shape)."
            )
        module = network_of(module, input_shape)
    return plan_for(module, "auto", samples=1).traced.layers


def extents_of(module: nn.Module | Network, input_shape: Shapes | None = None) -> dict[str, Extent | None]:
    """The TRF of the centre unit of every layer of `layers_of`, by name, all at once; None where it has no gradient.

    Takes a time that grows with the number of layers; `receptive_field` tells more of one of them.
    """
    network = module if isinstance(module, Network) else network_of(module, _needed(input_shape))
    traced = plan_for(network, "auto", samples=1).traced
    reaches = Reaches(traced.geometry)
    return {
        layer.name: reaches.extent(layer.value, center_place(layer).region)
        for layer in traced.layers
        if layer.frame is not None
    }


def _needed(input_shape: Shapes | None) -> Shapes:
    if input_shape is None:
        raise ProblemError(
            "invalid-request", "extents_of(module) needs the shape of its input: extents_of(module, shape)."
        )
    return input_shape
