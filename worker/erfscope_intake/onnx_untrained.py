"""Whether the weights of an ONNX file look untrained."""

from erfscope_engine.untrained import Weights, note_on
from erfscope_intake.onnx_draw import Weight, drawable
from erfscope_intake.onnx_graph import Program, all_steps
from erfscope_intake.spec.schemes import fans

OF_A_FILE = (
    "Give the file of the trained network, or choose drawn weights (`weights`, --weights) to measure the architecture "
    "alone."
)


def notes_on_training(program: Program) -> list[str]:
    """A note where nothing of the program has ever been trained; none where a part of it may have been."""
    norms = [
        [program.working[name] for name in step.inputs[2:5]]
        for step in all_steps(program)
        if step.node.operator == "BatchNormalization" and all(name in program.working for name in step.inputs[1:5])
    ]
    return note_on(norms, [_weights(program, layer) for layer in drawable(program)], OF_A_FILE)


def _weights(program: Program, layer: Weight) -> Weights:
    stored = program.working[layer.name]
    fan_in, fan_out = fans(stored.transpose(-1, -2).shape if layer.turned else stored.shape)
    return Weights(stored, fan_in, fan_out, None if layer.bias is None else program.working[layer.bias])
