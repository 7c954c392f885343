"""GET /erf/{id}/report.html and report.md: what a person keeps of a measurement."""

import csv
import json
import re
from html.parser import HTMLParser

import httpx2
import pytest
from tests.service.conftest import Worker, a_map, a_result, assert_problem, submit

from erfscope._result import Measured
from erfscope_contract.flat import flatten
from erfscope_contract.meanings import meaning_of
from erfscope_contract.numbers import plain, with_error
from erfscope_contract.result import ErfResult
from erfscope_picture import render

HOSTILE = "<script>alert(1)</script>|**bold**"


class Words(HTMLParser):
    """The text of a page, and the tags it uses."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.addresses = "", set[str](), list[str]()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def job(base_url: str, request: pytest.FixtureRequest) -> str:
    with httpx2.Client(base_url=base_url, timeout=30) as client:
        return submit(client, "reported <b>")["id"]


def finish(worker: Worker, id: str) -> None:
    record = worker.claim(id)
    result = json.loads(a_result())
    result["layer"]["name"] = HOSTILE
    result["stderr"] = {"erf_size": 0.3263}
    entry = {name: result[name] for name in ("unit", "trf", "erf", "mass", "samples", "scale_log2")}
    result["units"] = [entry, entry]
    row = {"name": "stem", "operator": "conv", "shape": [4, 32, 32], "trf_size": [3, 3], "trf_stride": [1, 1]}
    result["layers"] = [row | {"erf_size": 2.5, "erf_ratio": 0.83, "stderr": {"erf_size": 0.01}}]
    worker.succeed(record, json.dumps(result).encode(), render(a_map(), result))


def test_the_page_is_whole_inert_and_fetches_nothing(client: httpx2.Client, worker: Worker, job: str) -> None:
    assert_problem(client.get(f"/erf/{job}/report.html"), 409, "conflict")
    finish(worker, job)
    response = client.get(f"/erf/{job}/report.html")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = Words()
    page.feed(response.text)
    assert "script" not in page.tags
    assert HOSTILE in page.text
    assert "17.70 ± 0.33 px" in page.text
    for words in ("Effective field", "Along depth, centre units", "stem", "2.500 ± 0.010", "By position"):
        assert words in page.text
    assert [address[:22] for address in page.addresses] == ["data:image/png;base64,"]
    tag = response.headers["etag"]
    assert client.get(f"/erf/{job}/report.html", headers={"If-None-Match": tag}).status_code == 304


def test_markdown_has_the_same_and_no_markup_of_the_model(client: httpx2.Client, job: str) -> None:
    text = client.get(f"/erf/{job}/report.md").text
    assert f"![Map of the receptive field](/erf/{job}/heatmap.png)" in text
    assert "\\<script\\>" in text
    assert "<script>" not in text
    assert "17.70 ± 0.33 px" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 9), line


def test_both_forms_say_what_was_verified_passed_over_and_run_by_autograd(
    client: httpx2.Client, worker: Worker
) -> None:
    id = submit(client, "modern")["id"]
    result = json.loads(a_result())
    result["layer"]["passed_over"] = [{"name": HOSTILE, "why": "none of its axes follows the input"}]
    result["trf"] |= {"alignment": [4, 4], "reach": {"before": [10, 10], "after": [10, 10]}, "seen": [[6, 20], [6, 26]]}
    result["trf"] |= {"global": True, "local_box": [[6, 27], [6, 27]], "local_without": ["norm_1"]}
    result["verify"] = {"relative_difference": 3.1e-7}
    result["provenance"]["autograd"] = [{"operator": "aten.stft", "why": "complex windows"}]
    worker.succeed(worker.claim(id), json.dumps(result).encode(), render(a_map(), result))
    page = Words()
    page.feed(client.get(f"/erf/{id}/report.html").text)
    markdown = client.get(f"/erf/{id}/report.md").text
    assert HOSTILE in page.text
    assert "<script>" not in markdown
    for words in (
        "start at multiples of 4×4 px; units read up to 10×10 px before and 10×10 px after their centre",
        "6 … 20, 6 … 26 px",
        "only through statistics",
        "none of its axes follows the input",
        "relative difference to plain autograd 3.1e-07",
        "complex windows",
    ):
        assert words in page.text, words
        assert words in markdown, words


def test_every_metric_has_a_meaning() -> None:
    result = ErfResult.model_validate_json(a_result())
    for name in flatten(result):
        assert meaning_of(name).words
    with pytest.raises(KeyError):
        meaning_of("nosuch")


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (43.3219, 0.3263, "43.32 ± 0.33"),
        (21450.2, None, "21450"),
        (21450.2, 310.0, "21450 ± 310"),
        (0.00000021, None, "2.1e-07"),
        (1.0, 0.0, "1"),
        (None, 0.1, "–"),
        (0.5, 1e-9, "0.5 ± 1.0e-09"),
    ],
)
def test_numbers_have_the_digits_their_error_is_worth(value: float | None, error: float | None, shown: str) -> None:
    assert with_error(value, error) == shown
    assert plain(0.0) == "0"


def test_the_metrics_travel_in_the_job_and_as_the_csv_of_the_sdk(client: httpx2.Client, job: str) -> None:
    body = client.get(f"/erf/{job}").json()
    result = ErfResult.model_validate(body["result"])
    rows = {row["name"]: row for row in body["metrics"]}
    assert {name: row["value"] for name, row in rows.items()} == flatten(result)
    assert rows["erf_size"] == {
        "name": "erf_size",
        "group": "Effective field",
        "label": meaning_of("erf_size").label,
        "meaning": meaning_of("erf_size").words,
        "unit": "px",
        "value": result.erf.size,
        "stderr": 0.3263,
        "text": "17.70 ± 0.33 px",
    }
    assert client.get("/erf").json()["jobs"][0]["metrics"] is None
    response = client.get(f"/erf/{job}/metrics.csv")
    assert response.headers["content-type"].startswith("text/csv")
    assert response.text == Measured(result, job).to_csv()
    first, second, *_ = csv.reader(response.text.splitlines())
    assert (first, second[0]) == (["metric", "value", "stderr"], "trf_size")
