"""What may stand in a file of this repository."""

import re
import subprocess

import pytest
from tests.house.conftest import ROOT

# Package registries belong into the user's configuration, and paths of one machine nowhere. Written so that this
# file does not contain what it looks for.
REGISTRIES = "|".join(
    map(re.escape, ("pypi" + ".org", "python" + "hosted.org", "download." + "pytorch.org", "npmjs" + ".org"))
)
MACHINES = "|".join(("/ho" + r"me/\w+", "/ro" + "ot/", "/Us" + r"ers/\w+", "/wo" + "rk/", r"/tm" + "p/v/"))
FORBIDDEN = re.compile(f"{REGISTRIES}|{MACHINES}")
BINARY = {".png", ".onnx", ".ttf", ".woff2", ".npy", ".npz", ".jpg"}


def files() -> list[str]:
    """Everything that git has or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_registry_and_no_path_of_one_machine() -> None:
    found = []
    for name in files():
        if (ROOT / name).suffix in BINARY:
            continue
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1):
            if match := FORBIDDEN.search(line):
                found.append(f"{name}:{number}: {match[0]}")
    assert found == []


@pytest.mark.parametrize("line", ["see https://" + "pypi" + ".org/project/x", "cd /ho" + "me/ann/erfscope"])
def test_the_check_finds_them(line: str) -> None:
    assert FORBIDDEN.search(line)


def test_every_python_file_says_what_it_is_for() -> None:
    named = [name for name in files() if name.endswith(".py")]
    assert named
    texts = {name: (ROOT / name).read_text("utf-8").strip() for name in named}
    assert [name for name, text in texts.items() if text and not text.startswith(('"""', "#"))] == []
