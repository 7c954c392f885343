"""docs/operators.md is what the converter table says, and the table is what onnx knows."""

from pathlib import Path

from onnx import defs

from erfscope_intake.converters import TABLE
from erfscope_intake.operators import page

DOCUMENT = Path(__file__).parents[3] / "docs" / "operators.md"


def test_the_page_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run: python -m erfscope_intake.operators docs/operators.md"


def test_rows_are_operators_of_onnx() -> None:
    """Or that onnxruntime's optimizer, or WinML's converters, put into the standard's domain."""
    ours = {name for domain, name in TABLE if domain == ""}
    assert ours - {schema.name for schema in defs.get_all_schemas_with_history()} == {
        "SimplifiedLayerNormalization", "Affine", "Crop", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh",
    }  # fmt: skip
