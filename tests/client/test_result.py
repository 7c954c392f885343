"""A result in a notebook and as text."""

import csv
import io
import json
from base64 import b64encode

from erfscope import Result
from erfscope._result import Origin
from erfscope.report import content_of, to_html, to_markdown
from erfscope_contract.result import ErfResult

from .conftest import MAP, PNG, result_json


def made(**changes: object) -> Result:
    asked: list[tuple[str | None, str | None]] = []

    def picture(scale: str | None, colormap: str | None, overlay: bool) -> bytes:
        asked.append((scale, colormap))
        return PNG

    return Result(ErfResult.model_validate(result_json() | changes), Origin(lambda unit, layer: MAP, picture))


def test_the_table_of_a_notebook() -> None:
    html = made()._repr_html_()
    assert f'<img alt="" src="data:image/png;base64,{b64encode(PNG).decode()}">' in html  # it shows the HTML alone
    assert "<td>ERF size (4.55 % of the centre)</td><td>3.50 ± 0.12 px</td><td><code>erf_size</code></td>" in html
    assert "<td>R² of a Gaussian fit</td><td>–</td><td><code>r2</code></td>" in html


def test_a_notebook_shows_a_verification_where_there_is_one() -> None:
    assert "plain autograd" not in made()._repr_html_()
    html = made(verify={"relative_difference": 3.1e-7})._repr_html_()
    assert "<td>difference to plain autograd</td><td>3.1e-07</td><td><code>verify_difference</code></td>" in html


def test_a_layer_name_is_text_not_markup() -> None:
    layer = {"name": "<script>x</script>", "operator": "Conv", "shape": [1], "spatial_axes": []}
    html = made(layer=layer)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_report_shows_no_control_characters_of_a_name() -> None:
    content = content_of(ErfResult.model_validate(result_json()), "a\x1b[31m\u202eb")
    for text in (to_html(content), to_markdown(content)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "31m" in text


def test_the_picture_of_a_notebook() -> None:
    assert made()._repr_png_() == PNG


def test_repr_says_what_matters() -> None:
    assert repr(made()) == "<Result '/last/Conv' unit [4, 4]: ERF 3.50 ± 0.12 px, TRF 5x5 px; 1 note in .notes>"


def test_csv_has_every_metric() -> None:
    result = made()
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(result.to_csv()))}
    assert rows.keys() == result.metrics.keys()
    assert rows["erf_size"] == {"metric": "erf_size", "value": "3.5", "stderr": "0.125"}
    assert rows["r2"]["value"] == ""


def test_json_is_the_contract_again() -> None:
    result = made()
    assert ErfResult.model_validate(json.loads(result.to_json())) == result.data
    assert {name: error for name, error in result.stderr.items() if error is not None} == {"erf_size": 0.125}
    assert result.stderr.keys() == result.metrics.keys()
