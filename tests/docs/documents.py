"""The documents whose code blocks run, and how one is run; their tests stand in two files, so that they run at once."""

import shutil
from itertools import pairwise
from pathlib import Path

from PIL import Image
from tests.docs.blocks import blocks, differences, run
from tests.house.conftest import ROOT, House

TUTORIALS = [ROOT / "README.md", ROOT / "docs/start.md", *sorted((ROOT / "docs/tutorials").glob("*.md"))]
GUIDES = [path for folder in ("howto", "science") for path in sorted((ROOT / "docs" / folder).glob("*.md"))]
RUN = [*TUTORIALS, *GUIDES]


def name_of(path: Path) -> str:
    """The document's path in the project."""
    return path.relative_to(ROOT).as_posix()


def runs(document: Path, folder: Path, house: House, onnx_model: bytes) -> None:
    """Run all blocks of a document in a folder; what it shows as their output must be what they print."""
    found = blocks(document, ROOT)
    (folder / "model.onnx").write_bytes(onnx_model)
    shutil.copytree(ROOT / "examples", folder / "examples")
    # A service answers commands, for it loads torch once; README's session is run in the process, in tests/house.
    variables = {"ERFSCOPE_CACHE_DIR": str(folder / "cache"), "ERFSCOPE_URL": house.url}
    printed = dict(run(found, folder, house.url, variables))
    for before, block in pairwise(found):
        if block.is_output:
            assert differences(block.text, printed[before]) == [], f"{block} is not what {before} prints"
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            assert image.format == "PNG"
