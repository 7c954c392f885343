"""Verdicts on operators that cannot be converted, in words that say why and what to do."""

from erfscope.contract.problem import ProblemError
from erfscope_intake.converters.table import CLASSICAL

RECURRENT = "is recurrent: every output step sees every earlier input, so a receptive field has no extent of its own"
CONTROL = "is a loop whose steps cannot be followed ahead of time; export the network with the loop unrolled"
TREES = "is a classical model, not a network: no gradient reaches its input"
TEXT = "works on text, which has no gradient; export the network without its text processing"
TRAINING = "belongs to training; export the model for inference"

WHY: dict[str, str] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), RECURRENT),
    "Loop": CONTROL, "Scan": CONTROL, "SequenceMap": CONTROL,
    "StringNormalizer": TEXT, "TfIdfVectorizer": TEXT, "RegexFullMatch": TEXT, "StringConcat": TEXT,
    "StringSplit": TEXT,
    "ImageDecoder": "decodes files; export the network without its pre-processing",
    "SoftmaxCrossEntropyLoss": TRAINING, "NegativeLogLikelihoodLoss": TRAINING,
}  # fmt: skip


def unsupported(operator: str, domain: str, label: str) -> ProblemError:
    """The verdict on one node."""
    name = f"{domain}::{operator}" if domain else operator
    if domain == CLASSICAL:
        why = TREES
    elif domain:
        why = "belongs to a domain that is not part of ONNX; replace it by standard operators before the export"
    else:
        why = WHY.get(operator, "has no converter")
    return ProblemError(
        "unsupported-op",
        f"Operator {name[:120]} (node {label[:200]!r}) {why}.",
        operator=name[:200],
        node=label[:200],
    )
