"""The examples run: notebook and shell script, against the running service."""

import shutil
import subprocess
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from tests.house.conftest import PATIENCE, ROOT, House, environment

NOTEBOOK = ROOT / "examples/erfscope.ipynb"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own libraries
def test_the_notebook(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFSCOPE_URL", house.url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "commit it without outputs"
    done = NotebookClient(notebook, timeout=int(PATIENCE), resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [set(output.get("data", ())) for cell in done.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in kinds for kinds in shown) == 4
    assert sum("text/html" in kinds for kinds in shown) == 2
    printed = [
        output.text for cell in done.cells for output in cell.get("outputs", ()) if output.get("name") == "stdout"
    ]
    assert any(r"$r_{20\,\%}$ & $r_{30\,\%}$" in text and text.count(r"$\pm$") >= 10 for text in printed), (
        "r with its errors"
    )
    assert any(
        output.get("data", {}).get("text/plain") == "[9, 9]"
        for cell in done.cells
        for output in cell.get("outputs", ())
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own libraries
def test_the_researchers_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    notebook = nbformat.read(ROOT / "examples/researcher.ipynb", as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "commit it without outputs"
    sizes = next(cell for cell in notebook.cells if "SIDE = " in cell.source)  # small ones: four networks, two weights
    sizes.source = sizes.source.replace("SIDE = 128", "SIDE = 64").replace("INPUTS = 4", "INPUTS = 2")
    assert "SIDE = 64" in sizes.source
    assert "INPUTS = 2" in sizes.source
    NotebookClient(notebook, timeout=int(PATIENCE), resources={"metadata": {"path": str(tmp_path)}}).execute()
    table = (tmp_path / "paper/erf.tex").read_text()
    rows = [line for line in table.splitlines() if line.endswith(r"\\") and r"\pm" in line]
    assert len(rows) == 8
    assert [row.split(" & ")[0] for row in rows[::2]] == ["Mine", "ResNet-50", "ConvNeXt-T", "Swin-T"]
    assert all(row.count(r"$\pm$") >= 2 for row in rows)  # r, and an area that the input does not limit
    assert (tmp_path / "paper/erf.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "paper/erf.svg").read_text().count("<image ") == 9  # eight maps and the colour bar
    assert (tmp_path / "paper/radial.pdf").exists()


@pytest.mark.parametrize("given", [(), ("model.onnx",)], ids=["spec", "onnx"])
def test_the_script(house: House, tmp_path: Path, onnx_model: bytes, given: tuple[str, ...]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "model.onnx").write_bytes(onnx_model)
    done = subprocess.run(
        [ROOT / "examples/curl.sh", *given], cwd=tmp_path, env={**environment(), "ERFSCOPE_URL": house.url},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ERF ")
    assert np.load(tmp_path / "map.npy").max() == 1
    assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG")


def test_the_script_tells_the_services_words(house: House, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    done = subprocess.run(
        [ROOT / "examples/curl.sh", "bad.onnx"], cwd=tmp_path, env={**environment(), "ERFSCOPE_URL": house.url},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode != 0
    assert "ONNX" in done.stdout + done.stderr
