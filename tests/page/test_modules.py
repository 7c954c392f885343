"""The page's modules: what is served, and their mathematics against our own Python."""

import io
import json
import re
from collections.abc import Callable
from enum import StrEnum
from importlib.resources import files
from itertools import pairwise
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, Route
from tests.client.conftest import modern_result_json, result_json
from tests.house.conftest import House
from tests.page.test_page import Visit, finished, submit

from erfscope_contract.architecture import Architecture
from erfscope_contract.metrics import metrics_of
from erfscope_contract.numbers import with_error
from erfscope_contract.presets import PRESETS
from erfscope_contract.request import Dtype, Source, Statistic, Weights
from erfscope_contract.result import ErfResult
from erfscope_picture.colormap import COLORMAPS, table
from erfscope_picture.contour import mass_levels
from erfscope_picture.scale import SCALES, placed
from erfscope_service.page import presets

STATIC = files("erfscope_service.page") / "static"
SOURCES = {entry.name: entry.read_text() for entry in STATIC.iterdir() if entry.is_file()}
MODULES = sorted(name for name in SOURCES if name.endswith(".js"))
VENDORED = "observable-plot.js"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_short_says_what_it_is_for_and_imports_what_is_there(name: str) -> None:
    source = SOURCES[name]
    assert source.startswith("// ")
    assert len(source.splitlines()) <= 300
    assert max(map(len, source.splitlines())) <= 120
    assert set(re.findall(r'from "/page/([^"]+)"', source)) <= {*MODULES, VENDORED}
    for found in re.finditer(r'import \{([^}]+)\} from "/page/((?!observable)[^"]+)"', source):
        for wanted in filter(None, (part.split(" as ")[0].strip() for part in found[1].split(","))):
            exported = rf"export (?:async )?(?:const|function|class|let) {re.escape(wanted)}(?!\w)"
            assert re.search(exported, SOURCES[found[2]]), wanted


def test_every_module_is_used() -> None:
    everything = "".join(SOURCES.values())
    assert [name for name in MODULES if f"/page/{name}" not in everything] == []


def test_every_id_that_a_script_asks_for_is_on_the_page() -> None:
    wanted = {found for name in MODULES for found in re.findall(r'\$\("([\w-]+)"\)', SOURCES[name])}
    assert wanted
    pages = SOURCES["index.html"] + SOURCES["docs.html"]
    assert wanted <= set(re.findall(r'id="([\w-]+)"', pages))


@pytest.mark.parametrize(
    ("id", "known"), [("statistic", Statistic), ("source", Source), ("weights", Weights), ("dtype", Dtype)]
)
def test_the_form_offers_what_the_contract_knows(id: str, known: type[StrEnum]) -> None:
    select = re.search(rf'<select id="{id}">(.*?)</select>', SOURCES["index.html"], re.DOTALL)
    assert select
    offered = re.findall(r'<option(?: value="(\w+)")?>([^<]*)', select[1])
    assert [value or words for value, words in offered] == list(known)


def test_presets_come_as_people_would_write_them() -> None:
    rows = json.loads(presets.as_json())
    assert sorted(row["name"] for row in rows) == sorted([*presets.EXAMPLES, *PRESETS])
    assert rows[0]["group"] == "Well-known networks"
    for row in rows:
        builder = {**presets.EXAMPLES, **PRESETS}[row["name"]]
        assert Architecture.model_validate(row["spec"]) == builder()
        assert row["about"]


def test_every_preset_is_found_again_in_what_a_job_brings(blank: Page) -> None:
    """A job has every default written out; without them it is what the preset has."""
    rows = json.loads(presets.as_json())
    whole = [Architecture.model_validate(row["spec"]).model_dump(mode="json") for row in rows]
    script = """async ([rows, whole]) => {
        const { brief, isSame } = await import("/page/brief.js");
        const schema = await (await fetch("/schemas/architecture")).json();
        const like = (spec) => rows.filter((row) => isSame(row.spec, spec, schema)).map(({ name }) => name);
        return [whole.map(like), whole.map((spec) => brief(spec, schema))];
    }"""
    matches, briefs = blank.evaluate(script, [rows, whole])
    assert matches == [[row["name"]] for row in rows]
    assert briefs == [row["spec"] for row in rows]


def test_presets_are_served(house: House) -> None:
    served = httpx2.get(f"{house.url}/page/presets.json")
    assert served.headers["content-type"] == "application/json"
    assert served.content == presets.as_json()
    tag = {"If-None-Match": served.headers["etag"]}
    assert httpx2.get(f"{house.url}/page/presets.json", headers=tag).status_code == 304


@pytest.fixture
def blank(visit: Callable[..., Page]) -> Page:
    """A page that runs modules."""
    return visit("/docs")


@pytest.fixture(scope="module")
def a_map() -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:40, :50]
    bump = np.exp(-((y - 18) ** 2 + (x - 30) ** 2) / 60)
    return np.asarray(rng.random((40, 50)) * bump, dtype=np.float32)


@pytest.mark.parametrize("body", [modern_result_json(), result_json()], ids=["modern", "older"])
def test_the_table_of_metrics_is_what_the_job_brings(visit: Visit, house: House, body: dict[str, Any]) -> None:
    """Word for word, group by group, but of commands; what is undefined or only repeats the TRF has no row."""
    id, page = submit(house), visit()
    rows = [row.model_dump() for row in metrics_of(ErfResult.model_validate(body | {"stderr": {"erf_size": 0.3}}))]

    def answered(route: Route) -> None:
        job = route.fetch().json()
        route.fulfill(json=job | {"metrics": rows})

    page.route(f"**/erf/{id}", answered)
    page.goto(f"{house.url}/#/job/{id}")
    finished(page)
    shown = page.locator(".metrics tbody tr:not(.group)").evaluate_all(
        "(all) => all.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    grouped = sorted(rows, key=lambda row: list(dict.fromkeys(one["group"] for one in rows)).index(row["group"]))
    defined = [row for row in grouped if row["value"] is not None and row["name"] != "trf_size_local"]
    plain = "async (all) => { const { plain } = await import('/page/plain.js'); return all.map(plain); }"
    columns = (page.evaluate(plain, [row[name] for row in defined]) for name in ("label", "text", "meaning"))
    assert shown == [list(row) for row in zip(*columns, strict=True)]
    assert page.locator(".tile", has_text="ERF size").locator("small").inner_text() == "± 0.30"


def test_place_and_reach_as_facts(blank: Page) -> None:
    script = """async (result) => {
        const { byAutograd, fieldFacts, globalWords, passedOver } = await import("/page/place.js");
        return [fieldFacts(result), globalWords(result.trf), passedOver(result), byAutograd(result)];
    }"""
    facts, words, passed, autograd = blank.evaluate(script, modern_result_json())
    assert {name: " ".join(said.replace("−", "-").split()) for name, said in facts} == {
        "unit": "(4, 4)",
        "projected centre": "4.5, 7 px",
        "theoretical box": "-1 … 9, 0 … 8 px, ends excluded",
        "read on this image": "0 … 8, 0 … 8 px, ends excluded",
        "stride": "2 × varies px",
        "tiles start at multiples of": "2 × 2 px",
        "units of this layer read before their centre, at most": "5.5 × 7 px",
        "units of this layer read after their centre, at most": "4.5 × 0 px",
        "causal": "the unit reads nothing behind its own place",
        "local field": "5 × 5 px without the statistics of norm_1, norm_2",
    }
    assert " ".join(words.split()) == (
        "The unit sees the whole input, through norm_1, norm_2; it sees 5 × 5 px without the statistics of norm_1, "
        "norm_2."
    )
    assert passed[0] == ["logits", "none of its axes follows the input."]
    assert len(passed) == 4
    assert autograd == [["aten.stft", "windows of a complex tensor"]]
    facts, _, passed, autograd = blank.evaluate(script, result_json())
    assert [name for name, _ in facts] == ["unit", "projected centre", "theoretical box", "stride"]
    assert passed == autograd == []


@pytest.mark.parametrize(
    ("value", "words"), [(3.1e-7, "3.1 × 10⁻⁷"), (0, "0"), (-2e-16, "−2.0 × 10⁻¹⁶"), (12, "1.2 × 10¹"), (None, "–")]
)
def test_orders_of_magnitude(blank: Page, value: float | None, words: str) -> None:
    script = "async (value) => (await import('/page/format.js')).scientific(value)"
    assert blank.evaluate(script, value).replace("\u00a0", " ") == words


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_npy_and_the_levels_of_its_mass(blank: Page, a_map: NDArray[Any], dtype: str) -> None:
    file = io.BytesIO()
    np.save(file, a_map.astype(dtype))
    shape, total, levels, of_other = blank.evaluate(
        """async (bytes) => {
            const { parse } = await import("/page/npy.js");
            const { massLevels, sum } = await import("/page/field.js");
            const { shape, values } = parse(new Uint8Array(bytes).buffer);
            const other = values.map((_, place) => values[values.length - 1 - place]);
            const levels = [massLevels(values, [0.5, 0.9, 0.99]), massLevels(values, [0.5, 0.9, 0.99], other)];
            return [shape, sum(values), ...levels];
        }""",
        list(file.getvalue()),
    )
    assert shape == [40, 50]
    assert total == pytest.approx(float(a_map.sum(dtype=np.float64)))
    shares = (0.5, 0.9, 0.99)
    assert levels == pytest.approx(list(mass_levels(a_map, shares).values()))
    assert of_other == pytest.approx(list(mass_levels(a_map, shares, a_map[::-1, ::-1]).values()))


def test_contours_enclose_what_is_above_their_level(blank: Page, a_map: NDArray[Any]) -> None:
    plane = {"height": 40, "width": 50, "values": a_map.ravel().tolist()}
    level = 0.3
    lines = blank.evaluate(
        "async ([plane, level]) => (await import('/page/contours.js')).rings(plane, level)", [plane, level]
    )
    for line in lines:
        assert line[0] == pytest.approx(line[-1])
    inside = np.zeros((40, 50), dtype=bool)
    for y, x in np.ndindex(40, 50):
        inside[y, x] = sum(crossings(line, x + 1e-6, y + 1e-6) for line in lines) % 2
    assert (inside == (a_map > level)).all()


def test_a_speckled_map_is_smoothed_until_its_contours_are_few(blank: Page, a_map: NDArray[Any]) -> None:
    wide = np.kron(a_map, np.ones((4, 4))) * np.random.default_rng(2).random((160, 200))
    plane = {"height": 160, "width": 200, "values": wide.ravel().tolist()}
    traced = blank.evaluate("async (plane) => (await import('/page/contours.js')).traced(plane)", plane)
    assert traced["blur"] > 0
    assert [share for share, _ in traced["lines"]] == [0.5, 0.9, 0.99]
    assert all(1 <= len(lines) < 100 for _, lines in traced["lines"])


def test_lines_stay_inside_of_the_theoretical_box(blank: Page) -> None:
    a_map = np.zeros((160, 160))
    a_map[60:100, 50:90] = np.random.default_rng(2).random((40, 40)) ** 4
    plane = {"height": 160, "width": 160, "values": a_map.ravel().tolist()}
    script = """async ([plane, box]) => {
        const { traced, within } = await import("/page/contours.js");
        const { blur, lines } = traced(plane);
        return [blur, lines, within(lines, box), within(lines, null)];
    }"""
    blur, lines, clipped, same = blank.evaluate(script, [plane, [[60, 100], [50, 90]]])
    ends = [np.concatenate([np.array(ring) for _, rings in every for ring in rings]) for every in (lines, clipped)]
    assert blur > 0
    assert ends[0][:, 0].min() < 49.5
    assert (ends[1].min(axis=0) == (49.5, 59.5)).all()
    assert (ends[1].max(axis=0) <= (89.5, 99.5)).all()
    assert same == lines


def crossings(line: list[list[float]], x: float, y: float) -> int:
    """How often the ray from (x, y) to the right meets the line."""
    met = 0
    for (x0, y0), (x1, y1) in pairwise(line):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            met += 1
    return met


def test_colours_and_scales_are_the_pictures(blank: Page) -> None:
    """Colours to what two published tables of one map may differ; places exactly."""
    shares = [0.0, 1e-6, 1e-3, 0.2, 0.5, 1.0]
    names, colours, places = blank.evaluate(
        """async (shares) => {
            const { NAMES, table } = await import("/page/colormaps.js");
            const { SCALES, place } = await import("/page/scales.js");
            const places = Object.keys(SCALES).map((scale) => [scale, shares.map((share) => place(share, scale))]);
            return [NAMES, NAMES.map((name) => [...table(name)]), places];
        }""",
        shares,
    )
    assert tuple(names) == COLORMAPS
    for name, found in zip(names, colours, strict=True):
        rgba = np.array(found).reshape(256, 4)
        assert (rgba[:, 3] == 255).all()
        assert np.abs(rgba[:, :3] - table(name).astype(int)).max() <= 24, name
    assert [name for name, _ in places] == list(SCALES)
    for scale, found in places:
        assert found == pytest.approx(placed(np.array(shares), scale).tolist())


def test_lengths_of_sound_are_in_samples_on_the_page(blank: Page) -> None:
    result = modern_result_json()
    trf = {"trf": {**result["trf"], "center": [4.5], "box": [[0, 8]], "stride": [2], "reach": None, "local_box": None}}
    script = """async (result) => {
        const { lengthUnit } = await import("/page/format.js");
        const { fieldFacts } = await import("/page/place.js");
        return [[1, 2, 3].map(lengthUnit), fieldFacts(result)];
    }"""
    units, facts = blank.evaluate(script, {**result, "trf": {**trf["trf"], "size": [8], "seen": None}})
    assert units == ["samples", "px", "voxels"]
    assert dict(facts)["projected centre"].split() == ["4.5", "samples"]
    assert not any("px" in words for _, words in facts)


def test_the_chart_library_is_kept_with_its_licences(house: House) -> None:
    served = httpx2.get(f"{house.url}/page/{VENDORED}")
    assert served.headers["content-type"].startswith("text/javascript")
    assert served.text == (STATIC / "vendor" / VENDORED).read_text("utf-8")
    licences = (STATIC / "vendor" / "LICENSES.txt").read_text("utf-8")
    for part in ("@observablehq/plot", "d3-contour", "d3-scale-chromatic", "Permission to use, copy, modify"):
        assert part in licences
    assert httpx2.get(f"{house.url}/page/entry.js").status_code == 404


NUMBERS = [
    ((219.312, 1.23, "px"), "219.3 ± 1.2 px"),
    ((21450.4, None, "pixels"), "21450 pixels"),
    ((12.30, None, "px"), "12.3 px"),
    ((0.98765, 0.00096, ""), "0.98765 ± 0.00096"),
    ((41, None, "px"), "41 px"),
    ((3e-9, None, ""), "3 × 10⁻⁹"),
    ((2.5, 3e-8, ""), "2.5 ± 3.0 × 10⁻⁸"),
    ((-0.17123, 0.019, ""), "−0.171 ± 0.019"),
    ((None, None, "px"), "–"),
]


def test_numbers_as_people_read_them(blank: Page) -> None:
    script = "async (asked) => { const { withError } = await import('/page/format.js'); return asked.map(MAP); }"
    said = blank.evaluate(script.replace("MAP", "(one) => withError(...one)"), [asked for asked, _ in NUMBERS])
    assert [re.sub("[\u202f\u00a0]", " ", words) for words in said] == [words for _, words in NUMBERS]


@pytest.mark.parametrize("error", [None, 0.33, 0.0012, 2e-9])
def test_numbers_have_one_form_in_the_service_and_on_the_page(blank: Page, error: float | None) -> None:
    values = [0.0, 1.0, 12.999999999999, 0.1234567, 43.32, -0.17123, 21450.4, 123456.0, 3.21e-7, -4e-5]
    texts = [with_error(value, error) for value in values]
    script = """async ([values, texts, error]) => {
        const { typeset, withError } = await import("/page/format.js");
        return [values.map((value) => withError(value, error)), texts.map(typeset)];
    }"""
    on_the_page, of_the_service = blank.evaluate(script, [values, texts, error])
    assert on_the_page == of_the_service


TEXTS = [
    ("kurtosis -0.17 ± 3.1e-07", "kurtosis −0.17\u00a0±\u00a03.1\u00a0×\u00a010⁻⁷"),
    ("stride 2×2, box -3 … 4", "stride 2\u00a0×\u00a02, box −3 … 4"),
    ("conv-1 of 2026-11-30, sha256 3e5a1e-9f", "conv-1 of 2026-11-30, sha256 3e5a1e-9f"),
]


def test_signs_in_texts_of_the_service(blank: Page) -> None:
    script = "async (texts) => { const { typeset } = await import('/page/format.js'); return texts.map(typeset); }"
    assert blank.evaluate(script, [text for text, _ in TEXTS]) == [text for _, text in TEXTS]


def test_the_lists_of_the_history_are_one_list_newest_first(blank: Page) -> None:
    """Pages of several lists, an empty page in the middle: nothing twice, nothing left out."""
    got = blank.evaluate("""async () => {
        const { feed } = await import("/page/feed.js");
        const work = (n) => ({ id: n, created_at: new Date(1e12 + 1000 * n).toISOString() });
        const pages = {
            "/erf": [[40, 39, 7], [], [3, 2]], "/tiles": [[38, 6]], "/fit": [[]], "/advice": [[41], [1]],
            "/series": [Array.from({ length: 12 }, (_, k) => 30 - k)],
        };
        const get = async (address) => {
            const { pathname, searchParams } = new URL(address, location);
            const at = Number(searchParams.get("page_token") ?? 0), all = pages[pathname];
            const next = at + 1 < all.length ? String(at + 1) : null;
            return { [pathname === "/series" ? "series" : "jobs"]: all[at].map(work), next_page_token: next };
        };
        const list = feed(get), got = [];
        while (!list.isOver()) got.push((await list.next()).map(({ kind, work }) => [kind, work.id]));
        return got;
    }""")
    ids = [id for page in got for _, id in page]
    assert ids == sorted(ids, reverse=True)
    assert ids == [41, 40, 39, 38, *range(30, 18, -1), 7, 6, 3, 2, 1]
    assert [len(page) for page in got] == [12, 9]
    assert {kind for page in got for kind, id in page if id in (41, 1)} == {"advice"}
