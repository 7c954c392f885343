"""The documentation as a site: `python -m docs.site build/site`; warnings are errors.

The sources link to each other as files of the repository, so that they read well there. Here they are put into one
folder: docs/ at its top, the documents of the root in project/. Links to files that are no pages become their paths.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docs.generate import pages

ROOT = Path(__file__).parents[1]
PROJECT = {
    "README.md": "project/readme.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
}
ASSETS = {".csv", ".js", ".png", ".svg"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1[ ]*$", re.DOTALL | re.MULTILINE)


def build(folder: Path) -> Path:
    """Assemble and build in `folder`; answers with the finished site. Raises CalledProcessError on any warning."""
    assemble(folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "site"


def assemble(target: Path) -> None:
    """All pages and pictures, with their links as the site needs them."""
    shutil.rmtree(target, ignore_errors=True)
    places = sources()
    for source, place in places.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            (target / place).write_text(linked((ROOT / source).read_text("utf-8"), source, places), "utf-8")
        else:
            shutil.copy(ROOT / source, target / place)


def sources() -> dict[str, str]:
    """File of the repository → place in the site."""
    own = [path for path in sorted((ROOT / "docs").rglob("*")) if path.suffix in {".md", *ASSETS}]
    return {path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix() for path in own} | PROJECT


def linked(text: str, source: str, places: dict[str, str]) -> str:
    """The page with its links turned; what stands in code stays as it is. Raises FileNotFoundError for a dead link."""

    def turned(match: re.Match[str]) -> str:
        return _turned(match, source, places)

    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(turned, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(turned, text[end:])])


def _turned(match: re.Match[str], source: str, places: dict[str, str]) -> str:
    mark, words, target, fragment = match[1], match[2], match[3], match[4] or ""
    if not target or "://" in target or target.startswith("mailto:"):
        return match[0]
    path = os.path.normpath(os.path.join(os.path.dirname(source), target))
    if path in places:
        return f"{mark}[{words}]({os.path.relpath(places[path], os.path.dirname(places[source]) or '.')}{fragment})"
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"{source} links to {target}, which is not there")
    return f"`{path}`" if words.strip("`") == path else f"{words} (`{path}`)"


def stale() -> list[str]:
    """Pages of docs/reference that are not what `python -m docs.generate` would write."""
    folder = ROOT / "docs/reference"
    found = pages()
    present = {path.name: path.read_text("utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in found.keys() | present.keys() if found.get(name) != present.get(name))


if __name__ == "__main__":
    print(f"wrote {build(Path(sys.argv[1]))}")
