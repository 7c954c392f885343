"""`python -m docs.generate` writes docs/reference anew."""

from pathlib import Path

from docs.generate import pages

FOLDER = Path(__file__).parents[1] / "reference"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(f"wrote docs/reference/{name}")
