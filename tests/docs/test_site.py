"""The site builds without a warning, its generated pages are current, its pictures say how they were made."""

import re
import tomllib
from pathlib import Path

import pytest
from docs.generate import pages
from docs.generate.table import anchor
from docs.site import PROJECT, build, linked, sources, stale
from tests.docs.blocks import blocks
from tests.house.conftest import ROOT

import erfscope
from erfscope.cli import app
from erfscope_contract.meanings import TABLE
from erfscope_contract.text import for_cell

PAGES = {name: (ROOT / name).read_text("utf-8") for name in sources() if name.endswith(".md")}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    site = build(tmp_path)
    html = {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}
    for place in sources().values():
        assert place.removesuffix(".md") + ".html" in html or (site / place).exists(), place
    loaded = re.compile(r'(?:src|href)="(https?://[^"]+)"[^>]*>')
    tags = re.compile(r"<(?:script|link|img|iframe)\b[^>]*>")
    foreign = {found for text in html.values() for tag in tags.findall(text) for found in loaded.findall(tag)}
    assert foreign == set()  # a reader's browser asks nobody else


def test_a_dead_link_ends_the_build(tmp_path: Path) -> None:
    assert linked("[a](../README.md#try-it)", "docs/gate.md", sources()) == "[a](project/readme.md#try-it)"
    assert linked("[examples/ci](../examples/ci)", "docs/gate.md", sources()) == "`examples/ci`"
    assert linked("```text\n[a](nowhere.md)\n```\n", "docs/gate.md", sources()) == "```text\n[a](nowhere.md)\n```\n"
    with pytest.raises(FileNotFoundError, match=r"docs/gate.md links to nowhere.md"):
        linked("[a](nowhere.md)", "docs/gate.md", sources())


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:")[2]
    named = set(re.findall(r"[\w/-]+\.md", nav))
    assert named == {place for name, place in sources().items() if name.endswith(".md")}
    assert set(PROJECT.values()) <= named


def test_generated_pages_are_current() -> None:
    assert stale() == [], "run: python -m docs.generate"


def test_every_command_name_and_metric_is_in_the_reference() -> None:
    found = pages()
    names = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    assert names <= set(re.findall(r"^## erfscope (\w+)$", found["cli.md"], flags=re.MULTILINE))
    assert [name for name in erfscope.__all__ if name not in found["sdk.md"]] == ["__version__"]
    assert set(TABLE) <= set(re.findall(r"^\| `([^`]+)`", found["metrics.md"], flags=re.MULTILINE))
    assert "### POST /erf\n" in found["rest.md"]
    assert "## Conv\n" in found["spec.md"]


GROUPS = ("keys", "jobs", "tenants")  # commands that have commands below them


def test_commands_and_options_that_documents_show_exist() -> None:
    sections = dict(re.findall(r"^## (erfscope [\w ]+)\n(.*?)(?=^## |\Z)", pages()["cli.md"], re.DOTALL | re.MULTILINE))
    unknown = []
    for name, text in PAGES.items():
        shown = [one.text.replace("\\\n", " ") for one in blocks(ROOT / name, ROOT) if one.language in ("bash", "text")]
        shown += re.findall(r"(?<!`)`(erfscope [^`\n]+)`", text)
        for line in re.findall(r"^(?:\$ )?(erfscope [a-z].*)$", "\n".join(shown), re.MULTILINE):
            words = line.partition("#")[0].split()
            command = " ".join(words[:3]) if words[1] in GROUPS and len(words) > 2 else " ".join(words[:2])
            options = [word.partition("=")[0] for word in words if re.fullmatch(r"-[a-z]|--[a-z-]+(=.*)?", word)]
            known = sections.get(command)
            if known is None and command.removeprefix("erfscope ") not in GROUPS:
                unknown.append(f"{name}: {command}")
            unknown += [f"{name}: {command} {one}" for one in options if known and f"`{one}`" not in known]
    assert unknown == []


def test_words_of_tables_stay_in_their_cells() -> None:
    assert for_cell("a |\nb") == "a \\| b"
    assert anchor("POST /erf/{id}") == "post-erfid"


def test_pictures_say_how_they_were_made() -> None:
    text = "\n".join(PAGES.values())
    shown = {
        name
        for page in PAGES
        if page.startswith("docs/science")
        for name in re.findall(r"images/([\w-]+\.png)", PAGES[page])
    }
    assert shown
    assert [name for name in shown if f"-o docs/images/{name}" not in text] == []


def test_badges_say_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    said = {
        "python": project["project"]["requires-python"].replace(">=", "≥ "),
        "licence": project["project"]["license"],
        "typed": "mypy strict" if project["tool"]["mypy"]["strict"] else "",
    }
    for name, fact in said.items():
        assert f">{fact}</text>" in (ROOT / f"docs/images/badge-{name}.svg").read_text("utf-8")
