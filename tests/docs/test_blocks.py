"""Every code block of README, tutorials and guides runs, and prints what the document says."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from tests.docs.blocks import Block, blocks, differences, readable, run
from tests.house.conftest import ROOT, House

RUN = [
    ROOT / "README.md",
    ROOT / "docs/start.md",
    *sorted((ROOT / "docs/tutorials").glob("*.md")),
    *sorted((ROOT / "docs/howto").glob("*.md")),
    *sorted((ROOT / "docs/science").glob("*.md")),
]
READ = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path not in RUN and path.parent.name != "reference"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", RUN, ids=name_of)
def test_blocks_run(document: Path, tmp_path: Path, house: House, onnx_model: bytes) -> None:
    found = blocks(document, ROOT)
    (tmp_path / "model.onnx").write_bytes(onnx_model)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    # A service answers commands, for it loads torch once; README's session is run in the process, in tests/house.
    variables = {"ERFSCOPE_CACHE_DIR": str(tmp_path / "cache"), "ERFSCOPE_URL": house.url}
    printed = dict(run(found, tmp_path, house.url, variables))
    for before, block in pairwise(found):
        if block.is_output:
            assert differences(block.text, printed[before]) == [], f"{block} is not what {before} prints"
    for picture in tmp_path.glob("*.png"):
        with Image.open(picture) as image:
            assert image.format == "PNG"


@pytest.mark.parametrize("document", [*RUN, *READ], ids=name_of)
def test_blocks_can_be_read(document: Path) -> None:
    assert document.read_text("utf-8").count("```") % 2 == 0
    for block in blocks(document, ROOT):
        readable(block)


NOT_RUN = [
    block for path in RUN for block in blocks(path, ROOT) if block.reason and block.language in ("bash", "python")
]


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_blocks_that_do_not_run_say_why(block: Block) -> None:
    assert block.reason
    pytest.skip(block.reason)


def test_nearly_every_block_runs() -> None:
    every = [block for path in RUN for block in blocks(path, ROOT) if block.language in ("bash", "python")]
    assert len(NOT_RUN) < len(every) / 4


def test_outputs_are_compared() -> None:
    assert differences("a 1.00 b\n…\nlast\n", "a 1.01 b\nx\ny\nlast\n") == []
    assert differences("a 1.00\n", "a 1.10\n") != []
    assert differences("a\n", "a\nb\n") != []
    assert differences("a\n…\nc\n", "a\nb\n") != []
