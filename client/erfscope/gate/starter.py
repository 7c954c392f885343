"""What `erfscope init` writes: checks for models, a workflow for GitHub, and what its runner installs. Texts alone."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from erfscope.gate.sampling import LIMIT, TOO_MANY, Noise
from erfscope_contract.request import Weights
from erfscope_contract.version import __version__

HEAD = """\
# Receptive fields that this repository keeps. A metric without min and max is watched for drift alone.
# Drift counts both ways; a bound counts one way: erf_size = { min = 20 } lets the field grow, not shrink.
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
WORKFLOW = """\
name: receptive fields
on:
  pull_request:
  push:
    # The branch that pull requests are merged into: they can read its cache, and no other pull request's. It has the
    # answers of models that did not change, and the pictures that a changed model is compared with.
    branches: [main, master]
permissions:
  contents: read
  pull-requests: write # for the comment
env:
  # What pip installs as erfscope; <WHY>
  # Others that work: a folder or a wheel of this repository (./vendor/erfscope<EXTRA>), a commit of its repository
  # (erfscope<EXTRA> @ git+https://HOST/OWNER/erfscope@COMMIT), and once there is a release its version
  # (erfscope<EXTRA>==VERSION).
  ERFSCOPE: <REQUIREMENT>
<MEASURING>
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5.0.0
        with:
          fetch-depth: 2 # the base of a pull request as well: what it changes in the baseline is told
          # Where Git LFS has the models:
          # lfs: true
      - uses: actions/setup-python@v6.0.0
        with:
          python-version: "3.12"
      - uses: actions/cache@v4.3.0
        with:
          path: ~/.cache/erfscope
          key: erfscope-${{ github.sha }}
          restore-keys: erfscope-
      - name: Install
        run: |
          test -n "$ERFSCOPE" || { echo "::error::Write into ERFSCOPE of <FILE> what pip installs."; exit 2; }
          python -m pip install "$ERFSCOPE"
      - name: Check
        run: >-
          erfscope check --junit erfscope-reports/erfscope.xml --markdown erfscope-reports/erfscope.md
          --report erfscope-reports/erfscope.json --pictures erfscope-reports/pictures
      - if: always()
        uses: actions/upload-artifact@v4.6.2
        with:
          name: erfscope-reports
          path: erfscope-reports
          if-no-files-found: ignore
      - name: Comment
        # The token of a pull request from a fork may not comment.
        if: always() && github.event.pull_request.head.repo.full_name == github.repository
        env:
          GH_TOKEN: ${{ github.token }}
          GH_REPO: ${{ github.repository }}
          NUMBER: ${{ github.event.pull_request.number }}
        run: |
          test -f erfscope-reports/erfscope.md || exit 0
          { echo "<!-- erfscope check -->"; head -c 60000 erfscope-reports/erfscope.md; } > comment.md
          known="$(gh api "repos/$GH_REPO/issues/$NUMBER/comments" --paginate \\
            --jq '.[] | select(.body | startswith("<!-- erfscope check -->")) | .id' | head -n 1)"
          if [ -n "$known" ]; then
            gh api --method PATCH "repos/$GH_REPO/issues/comments/$known" -F body=@comment.md > /dev/null
          else
            gh api --method POST "repos/$GH_REPO/issues/$NUMBER/comments" -F body=@comment.md > /dev/null
          fi
"""
HERE = """\
  # PyTorch's index of CPU wheels, as https://pytorch.org/get-started/locally/ gives it for pip and CPU. Without it pip
  # installs some gigabytes of CUDA libraries that a runner has no use for.
  PIP_EXTRA_INDEX_URL: <INDEX>"""
SERVICE = """\
  ERFSCOPE_URL: <URL> # the service that measures
  ERFSCOPE_API_KEY: ${{ secrets.ERFSCOPE_API_KEY }}"""
VARIABLE = re.compile(r"^([ \t]+ERFSCOPE:[ \t]+)\S.*$", re.MULTILINE)
REASON = re.compile(r"^([ \t]+# What pip installs as erfscope; ).*$", re.MULTILINE)
INDEX_VARIABLE = "PIP_EXTRA_INDEX_URL"
ASKED = "${{ vars.ERFSCOPE }}"  # a variable of the repository, where nothing is known that a runner could install


@dataclass(frozen=True)
class Origin:
    """Where a runner gets erfscope from: what pip installs, and why that."""

    requirement: str
    why: str

    @property
    def is_known(self) -> bool:
        """Whether the workflow works as it is written."""
        return self.requirement != ASKED


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
        """The weights, the number of samples and the reason for it and for a wider limit, of `used` samples."""
        drawn = DRAWN.format(scheme=self.weights) if self.is_drawn else ""
        text = "" if self.samples is None else f"{self.unit} = {self.samples}\n"
        if self.noise is None:
            return drawn + text
        facts = {"metric": self.noise.metric, "share": self.noise.share, "limit": LIMIT, "samples": used}
        if self.before is not None:
            text = MORE.format(first=self.first, before=self.before.share, unit=self.unit, **facts) + text
        return drawn + text + (WIDER.format(unit=self.unit, **facts) if self.noise.limit > LIMIT else "")

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


def workflow(path: Path, origin: Origin, url: str | None, environment: Mapping[str, str]) -> str:
    """The workflow that lies at `path`; with `url` a service measures, otherwise the runner."""
    index = environment.get(INDEX_VARIABLE, "")
    is_public = bool(index) and not urlsplit(index).username  # a password does not go into a repository
    values = {
        "WHY": origin.why,
        "REQUIREMENT": json.dumps(origin.requirement) if origin.is_known else origin.requirement,
        "MEASURING": SERVICE if url else HERE,
        "EXTRA": "" if url else "[local]",
        "FILE": path.as_posix(),
        "INDEX": json.dumps(index) if is_public else f"${{{{ vars.{INDEX_VARIABLE} }}}} # of the repository's settings",
        "URL": json.dumps(url),
    }
    text = WORKFLOW
    for word, value in values.items():
        text = text.replace(f"<{word}>", value)
    return text


def reinstalled(text: str, origin: Origin) -> str | None:
    """A workflow with another ERFSCOPE, and nothing else changed; None where it has no such line, or several."""
    if len(VARIABLE.findall(text)) != 1:
        return None
    text = VARIABLE.sub(lambda found: f"{found[1]}{json.dumps(origin.requirement)}", text)
    return REASON.sub(lambda found: f"{found[1]}{origin.why}", text)


def origin(root: Path, *, with_engine: bool, asked: str | None = None) -> Origin:
    """What a runner installs: as asked, or what is installed here, if a checkout of `root` can have it as well."""
    if asked is not None:
        return Origin(asked, "as `erfscope init --install` was told.")
    extra = "[local]" if with_engine else ""
    noted = distribution("erfscope").read_text("direct_url.json")  # PEP 610; not there for what came from an index
    return origin_of(json.loads(noted) if noted else None, root.resolve(), extra)


def origin_of(noted: Mapping[str, Any] | None, root: Path, extra: str) -> Origin:
    """`origin` from what the installer noted (PEP 610)."""
    if noted is None:
        return Origin(f"erfscope{extra}=={__version__}", "the version that wrote this file.")
    url = str(noted.get("url", ""))
    if vcs := noted.get("vcs_info"):
        address = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
        return Origin(f"erfscope{extra} @ {address}", "the commit that wrote this file.")
    if urlsplit(url).scheme != "file":
        return Origin(f"erfscope{extra} @ {url}", "the file that was installed where this was written.")
    folder = Path(url2pathname(urlsplit(url).path))
    if folder.is_relative_to(root):
        return Origin(f"./{folder.relative_to(root).as_posix()}{extra}", "the copy in this repository.")
    why = "not known yet: set this variable in the repository's settings, or write it here."
    return Origin(ASKED, why)
