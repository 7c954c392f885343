"""Every code block of the guides runs, and prints what the document says."""

from pathlib import Path

import pytest
from tests.docs.documents import GUIDES, name_of, runs
from tests.house.conftest import House


@pytest.mark.parametrize("document", GUIDES, ids=name_of)
def test_blocks_run(document: Path, tmp_path: Path, house: House, onnx_model: bytes) -> None:
    runs(document, tmp_path, house, onnx_model)
