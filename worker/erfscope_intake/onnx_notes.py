"""What is told beside a result of how an ONNX file was understood."""

from collections.abc import Iterator

from erfscope_intake.converters.recurrent import RECURRENT
from erfscope_intake.onnx_graph import Lost, Program, Step, all_steps

QUANTISED = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM",
)  # fmt: skip
MOST_NAMED = 4


def notes_of(program: Program) -> list[str]:
    """The notes on a program, each once: nodes of which the same is to be said are named together."""
    steps = all_steps(program)
    notes = [*program.notes, *_of_numbers(steps)]
    recurrent = [step for step in steps if step.node.operator in RECURRENT and step.follows_input]
    for operator in dict.fromkeys(step.node.operator for step in recurrent):
        labels = [step.label for step in recurrent if step.node.operator == operator]
        notes.append(f"{nodes_called(operator, labels)} recurrent; what is behind reads every earlier step.")
    return [*notes, *_of_lost(program)]


def _of_numbers(steps: list[Step]) -> Iterator[str]:
    if any(s.node.operator in QUANTISED or s.node.operator.startswith("QLinear") for s in steps if s.follows_input):
        yield "The network is quantised; it is computed in real numbers: scales and saturation stay, rounding goes."
    if any(s.node.operator == "BatchNormalization" and s.node.int("training_mode", 0) for s in steps):
        yield "BatchNormalization in training mode is computed with its stored statistics."
    if any(s.node.operator.startswith("Random") for s in steps):
        yield "The network draws random numbers of its own; here they are the same in every run."


def _of_lost(program: Program) -> Iterator[str]:
    """One note for the lost nodes of an operator and a reason."""
    roots = list(dict.fromkeys(program.lost.values()))
    for operator, why in dict.fromkeys((lost.operator, _why(lost)) for lost in roots):
        labels = [lost.label for lost in roots if (lost.operator, _why(lost)) == (operator, why)]
        left = "it and what follows it are" if len(labels) == 1 else "they and what follows them are"
        yield f"{nodes_named(operator, labels)} {why}; {left} left out."


def _why(lost: Lost) -> str:
    if lost.problem.kind == "data-dependent":
        return "decides shapes or paths by the input's values"
    if lost.problem.kind == "model-too-complex":
        return "runs too many operators to be unrolled"
    return "cannot be converted"


def nodes_named(operator: str, labels: list[str]) -> str:
    """`LSTM (nodes 'a', 'b' and 3 more)`."""
    more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    named = ", ".join(repr(label[:200]) for label in labels[:MOST_NAMED])
    return f"{operator} ({'node' if len(labels) == 1 else 'nodes'} {named}{more})"


def nodes_called(operator: str, labels: list[str]) -> str:
    """The same with its verb."""
    return f"{nodes_named(operator, labels)} {'is' if len(labels) == 1 else 'are'}"
