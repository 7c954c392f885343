"""Every code block of README and tutorials runs and prints what the document says (guides: test_guides.py)."""

import re
from pathlib import Path

import pytest
from tests.docs.blocks import Block, blocks, differences, readable
from tests.docs.documents import GUIDES, RUN, TUTORIALS, name_of, runs
from tests.house.conftest import ROOT, House

READ = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path not in RUN and path.parent.name != "reference"]


@pytest.mark.parametrize("document", TUTORIALS, ids=name_of)
def test_blocks_run(document: Path, tmp_path: Path, house: House, onnx_model: bytes) -> None:
    runs(document, tmp_path, house, onnx_model)


def test_every_document_with_commands_is_run_once() -> None:
    folders = ("docs/tutorials", "docs/howto", "docs/science")
    every = {ROOT / "README.md", ROOT / "docs/start.md", *(p for f in folders for p in (ROOT / f).glob("*.md"))}
    assert len(RUN) == len(every)
    assert set(TUTORIALS) | set(GUIDES) == every


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


def test_pdfs_of_the_documents_have_truetype_letters() -> None:
    drawing = [block for document in RUN for block in blocks(document, ROOT) if re.search(r"savefig.*pdf", block.text)]
    assert drawing
    assert not [str(block) for block in drawing if 'rcParams["pdf.fonttype"] = 42' not in block.text]
