"""What an answer about a model is about: the network, its weights, and the samples."""

from pydantic import Field

from erfscope_contract.request import ModelRef, Source, Weights
from erfscope_contract.result import ErfResult, Frozen

SHA256 = 64  # digits


class About(Frozen):
    """What was measured, and on what."""

    model: str = Field(description="The sha256 of the ONNX file, or the name of the spec.")
    weights: Weights = Field(description="The model's own (of a spec those of its scheme), or the scheme of the draws.")
    inputs: int | None = Field(None, description="Inputs of each measurement and draw; null where none was made.")
    draws: int | None = Field(
        None,
        description="How often the weights were drawn for each measurement; 1 for a file's own weights, null where "
        "nothing was measured.",
    )
    source: Source = Field(description="Where the inputs come from.")
    seed: int

    @property
    def samples(self) -> int | None:
        """Of each measurement; None where none was made."""
        return None if self.inputs is None else self.inputs * (self.draws or 1)


def name_of(model: ModelRef) -> str:
    """A network as its question names it."""
    if model.architecture is not None:
        return model.architecture.name or "architecture"
    return model.sha256 or ""


def in_words(about: About | None, name: str, shape: str) -> list[str]:
    """One line for people; `name` is what they call the file. Empty for an answer of an older service."""
    if about is None:
        return []
    is_file = len(about.model) == SHA256
    who = f"{name} (sha256 {about.model[:12]}…)" if is_file else name
    weights = weights_in_words(about.weights, is_file=is_file)
    return [f"{who}: weights {weights}; {_samples(about)}; seed {about.seed}; input {shape}."]


def weights_in_words(weights: Weights, *, is_file: bool, is_known: bool = True) -> str:
    """What follows the word weights: `the file's own`. Not `is_known`: whether it was a spec or a module."""
    if weights is not Weights.GIVEN:
        return f"by {weights.value}"
    if is_file:
        return "the file's own"
    return "by the spec's scheme" if is_known else "the model's own"


def weights_of(result: ErfResult) -> str:
    """The same of a measurement. A module that is measured in its own process has no file, and no reason of a layer."""
    origin = result.provenance
    if origin.weights == "given" and origin.draws > 1 and not result.layer.why:
        return "drawn by the model's function"
    return weights_in_words(Weights(origin.weights), is_file=bool(origin.model_sha256), is_known=bool(result.layer.why))


def _samples(about: About) -> str:
    if about.inputs is None:
        return "nothing measured"
    inputs = f"{about.inputs} input{'' if about.inputs == 1 else 's'} ({about.source.value})"
    return inputs if about.draws in (None, 1) else f"{about.draws} draws of the weights × {inputs}"
