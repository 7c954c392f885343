"""Verdicts on operators that cannot be converted, in words that say why and what to do."""

from onnx import defs

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import CLASSICAL

READS_INPUT = (
    "is recurrent and reads the input itself: every output step sees every earlier input, so there is no field of an "
    "extent of its own; networks that have other layers (convolutions, say) before the recurrent one can be measured"
)
SESSIONS = {"com.microsoft.nchwc", "com.ms.internal.nhwc"}
SESSION_ONLY = {"NhwcConv", "NhwcFusedConv", "NhwcMaxPool", "QLinearConvNhwc", "ReorderInput", "ReorderOutput"}
DUMP = (
    "is one that onnxruntime writes when it saves its optimised session; use the file from before, or save it with the "
    "optimisation level ORT_ENABLE_EXTENDED"
)
FOREIGN = "belongs to a domain that is not part of ONNX; replace it by standard operators before the export"
UNKNOWN = (
    "is in ONNX's own domain, and ONNX has no such operator; if it is an operator of your own, give it its domain and "
    "define it as a local function, or replace it by standard operators before the export"
)
TREES = "is a classical model, not a network: no gradient reaches its input"
TEXT = "works on text, which has no gradient; export the network without its text processing"
TRAINING = "belongs to training; export the model for inference"

WHY: dict[str, str] = {
    "StringNormalizer": TEXT, "TfIdfVectorizer": TEXT, "RegexFullMatch": TEXT, "StringConcat": TEXT,
    "StringSplit": TEXT,
    "ImageDecoder": "decodes files; export the network without its pre-processing",
    "SoftmaxCrossEntropyLoss": TRAINING, "NegativeLogLikelihoodLoss": TRAINING,
}  # fmt: skip


def unsupported(operator: str, domain: str, label: str, why: str | None = None) -> ProblemError:
    """The verdict on one node; `why` where the table does not know it."""
    name = f"{domain}::{operator}" if domain else operator
    return ProblemError(
        "unsupported-op",
        f"Operator {name[:120]} (node {label[:200]!r}) {why or why_not(operator, domain)}.",
        operator=name[:200],
        node=label[:200],
    )


def no_such_output(name: str) -> ProblemError:
    """The verdict on a value that an operator is said to make beyond those that it has."""
    return ProblemError(
        "invalid-model", f"{name[:200]!r} is read, but the operator that should make it has no such output."
    )


def why_not(operator: str, domain: str) -> str:
    """Why an operator cannot be converted, and what to do: a sentence whose subject is the operator."""
    if domain == CLASSICAL:
        return TREES
    if domain in SESSIONS or operator in SESSION_ONLY:
        return DUMP
    if domain:
        return FOREIGN
    return WHY.get(operator) or ("has no converter" if defs.has(operator) else UNKNOWN)
