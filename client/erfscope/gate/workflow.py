"""The workflow that `erfscope init` writes for GitHub, and what its runner installs. Texts alone."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from erfscope_contract.version import __version__

WORKFLOW = """\
name: receptive fields
on:
  pull_request:
    # What the check reads; add what else its checks name, such as `images`. Where a branch protection requires this
    # check, remove `paths`: a pull request that changes none of these files would wait for it.
    paths: ["**.onnx", "**.onnx.data", "**.json", "**/erfscope.toml", "**/pyproject.toml", <FILE>]
  push:
    # The branch that pull requests are merged into: they can read its cache, and no other pull request's. It has the
    # answers of models that did not change, and the pictures that a changed model is compared with.
    branches: [main, master]
    paths: ["**.onnx", "**.onnx.data", "**.json", "**/erfscope.toml", "**/pyproject.toml", <FILE>]
  workflow_dispatch:
concurrency: # a new commit of a pull request ends the run of the one before it
  group: erfscope-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}
permissions:
  contents: read
jobs:
  check: # installs packages and opens models, so that it may only read
    runs-on: ubuntu-latest
    timeout-minutes: 30
    env:
      # What pip installs as erfscope; <WHY>
      # Others that work: a folder or a wheel of this repository (./vendor/erfscope<EXTRA>), a commit of its repository
      # (erfscope<EXTRA> @ git+https://HOST/OWNER/erfscope@COMMIT), and once there is a release its version
      # (erfscope<EXTRA>==VERSION).
      ERFSCOPE: <REQUIREMENT>
<MEASURING>
    steps:
      - uses: actions/checkout@v5.0.0
        with:
          persist-credentials: false
          fetch-depth: 2 # the base of a pull request as well: what it changes in the baseline is told
          # Where Git LFS has the models:
          # lfs: true
      - uses: actions/setup-python@v6.0.0
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: <FILE>
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
  comment: # the only job that may write; it runs nothing of the pull request
    needs: check
    # The token of a pull request from a fork may not comment.
    if: ${{ !cancelled() && github.event.pull_request.head.repo.full_name == github.repository }}
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions:
      pull-requests: write
    steps:
      - uses: actions/download-artifact@v5.0.0
        continue-on-error: true # there are no reports where the check could not begin
        with:
          name: erfscope-reports
          path: erfscope-reports
      - name: Comment
        env:
          GH_TOKEN: ${{ github.token }}
          GH_REPO: ${{ github.repository }}
          NUMBER: ${{ github.event.pull_request.number }}
          COMMIT: ${{ github.event.pull_request.head.sha }}
          RUN: ${{ github.server_url }}/${{ github.repository }}/actions/runs/${{ github.run_id }}
        run: |
          {
            echo "<!-- erfscope check -->"
            if [ -f erfscope-reports/erfscope.md ]; then
              head -c 60000 erfscope-reports/erfscope.md
            else
              echo "## ✗ Receptive fields were not checked"
              printf '\\n[The run](%s) ended before there was a report.\\n' "$RUN"
            fi
            printf '\\nOf commit %s.\\n' "$COMMIT"
          } > comment.md
          known="$(gh api "repos/$GH_REPO/issues/$NUMBER/comments" --paginate \\
            --jq '.[] | select(.body | startswith("<!-- erfscope check -->")) | .id' | head -n 1)"
          if [ -n "$known" ]; then
            gh api --method PATCH "repos/$GH_REPO/issues/comments/$known" -F body=@comment.md > /dev/null
          else
            gh api --method POST "repos/$GH_REPO/issues/$NUMBER/comments" -F body=@comment.md > /dev/null
          fi
"""
HERE = """\
      # PyTorch's index of CPU wheels, as https://pytorch.org/get-started/locally/ gives it for pip and CPU. Without it
      # pip installs some gigabytes of CUDA libraries that a runner has no use for.
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
