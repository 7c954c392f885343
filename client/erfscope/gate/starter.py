"""What `erfscope init` writes: checks for models, a workflow for GitHub, and what its runner installs. Texts alone."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from erfscope.gate.sampling import LIMIT, TOO_MANY, Noise
from erfscope_contract.request import Weights

HEAD = """\
# Receptive fields that this repository keeps. A metric without min and max is watched for drift alone.
# Drift counts both ways. To fail where the field shrinks and only warn where it grows, write
# drift = { max = "5%", level = { down = "error", up = "warn" } }; with direction = "down" growth passes.
# The least that a model must see belongs to trf_size or mass_50_side, as trf_size = { min = 20 }: they fall when the
# field shrinks. erf_size may rise then, because it does not count the gaps that a dilation leaves.
# A check guards the models that it names. A pattern, such as model = "models/*.onnx", also guards models that are added
# later.
# A check measures the weights of its file, so a model that is trained again needs a new baseline. With drawn weights,
# as `erfscope init --weights random` writes them, a check guards the architecture alone.
"""
CHECK = """
[[{header}]]
name = {name}
model = {model}
{measuring}trf_size = {{}}
{erf}mass_50_side = {{}}
drift = {{ max = "{drift}" }}
"""
ERF = "erf_size = {}\n"
NOT_ERF = "# erf_size is not watched: {why}\n"
INSTEAD = "mass_20_side = {}\n"
DRAWN = """\
# The weights are drawn anew, one input for each draw: the check guards the architecture, and training it again moves
# nothing. Without these lines it guards the weights of the file too.
weights = "{scheme}"
inputs = 1
"""
MORE = """\
# {samples} {unit}: with {first}, chance moved {metric} by {before:.1%} (two standard errors of the difference of two
# measurements), too much to tell a drift of {limit:.0%} for sure. With {samples} it is {share:.1%}.
"""
WIDER = """\
# The limit is wider than {limit:.0%}: with {samples} {unit} chance moves {metric} by {share:.1%} (two standard errors
# of the difference of two measurements), so less cannot be told from it. More {unit} allow a smaller limit.
"""
NOTES = re.compile(r"# (\d+ (inputs|draws): with |The weights are drawn anew, )")  # how MORE and DRAWN begin


class Limit(StrEnum):
    """Why the size of the effective field tells little of a change: what keeps it from growing, or chance."""

    INPUT = "the field fills the input"
    TRF = "it is as large as the TRF"
    CHANCE = "chance moves it too much"


COMMENTS: Mapping[Limit, str] = {
    Limit.INPUT: f"{Limit.INPUT}, which limits it, so that the size would stay when the network\n"
    "# changes. Give a larger input_shape to watch it.",
    Limit.TRF: f"{Limit.TRF}, which limits it. trf_size is watched already, and the\n"
    "# mass sees a change of the weights sooner.",
    Limit.CHANCE: f"{Limit.CHANCE}: it alone would need more than {TOO_MANY} {{unit}} to tell\n"
    f"# a drift of {LIMIT:.0%}. It ends where the map is weak (4.55 % of the centre), and a change of the network may\n"
    "# move this edge either way; half of the mass (mass_50_side) tells the change sooner.",
}


@dataclass(frozen=True)
class Plan:
    """How a model is measured and watched: its number of samples (None: the defaults'), and why; its limits."""

    samples: int | None = None  # inputs, or draws of the weights with one input each
    weights: Weights = Weights.GIVEN
    first: int = 0  # samples of the first measurement, where a second one took more
    before: Noise | None = None  # of the first measurement
    noise: Noise | None = None  # of the last one
    limit: Limit | None = None  # why the size of its ERF is not watched

    @property
    def drift(self) -> str:
        """`5%`."""
        return f"{self.noise.limit if self.noise else LIMIT:.0%}"

    @property
    def is_drawn(self) -> bool:
        """Whether the weights are drawn anew."""
        return self.weights is not Weights.GIVEN

    @property
    def unit(self) -> str:
        """What its samples are."""
        return "draws" if self.is_drawn else "inputs"

    def lines(self, used: int) -> str:
        """`measuring`, and the reason for a wider limit."""
        if self.noise is None or self.noise.limit <= LIMIT:
            return self.measuring(used)
        facts = {"metric": self.noise.metric, "share": self.noise.share, "limit": LIMIT, "samples": used}
        return self.measuring(used) + WIDER.format(unit=self.unit, **facts)

    def measuring(self, used: int) -> str:
        """The weights, the number of samples and the reason for it, of `used` samples."""
        drawn = DRAWN.format(scheme=self.weights) if self.is_drawn else ""
        text = "" if self.samples is None else f"{self.unit} = {self.samples}\n"
        if self.noise is not None and self.before is not None:
            facts = {"metric": self.noise.metric, "share": self.noise.share, "limit": LIMIT, "samples": used}
            text = MORE.format(first=self.first, before=self.before.share, unit=self.unit, **facts) + text
        return drawn + text

    @property
    def watched(self) -> str:
        """The line that watches `erf_size`, or why it is not watched and what is instead."""
        if self.limit is None:
            return ERF
        reason = NOT_ERF.format(why=COMMENTS[self.limit].format(unit=self.unit))
        return reason if self.limit is Limit.CHANCE else reason + INSTEAD


Plans = Mapping[str, Plan]
USUAL = Plan()


def checks(models: Mapping[str, str], header: str, plans: Plans, inputs: int) -> str:
    """A `[[check]]` for each model by its name; JSON's strings are strings of TOML as well.

    `inputs` is the number of the configuration's defaults.
    """
    chosen = {model: plans.get(model, USUAL) for model in models.values()}
    return "".join(
        CHECK.format(
            header=header,
            name=json.dumps(name),
            model=json.dumps(model),
            measuring=chosen[model].lines(chosen[model].samples or inputs),
            drift=chosen[model].drift,
            erf=chosen[model].watched,
        )
        for name, model in models.items()
    )


def configuration(models: Mapping[str, str], inputs: int, plans: Plans) -> str:
    """A whole erfscope.toml."""
    return f"{HEAD}\n[defaults]\ninputs = {inputs}\n{checks(models, 'check', plans, inputs)}"


def named(models: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """A name for each model that no check has yet: the file's, or the whole path or pattern."""
    names: dict[str, str] = {}
    for model in models:
        stem = model if any(sign in model for sign in "*?[") else Path(model).stem
        names[model if stem in names or stem in taken else stem] = model
    return names
