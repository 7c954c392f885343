"""The pytest plugin, in runs of pytest of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gate.conftest import installed_environment, onnx_model, spec

from erfscope.gate.expect import Erf, measure

Write = Callable[..., Path]
QUIET = ["-p", "no:cacheprovider", "-q"]


def ran(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *QUIET, *words]
    return subprocess.run(command, env=installed_environment(), capture_output=True, text=True, check=False)


def test_the_fixture_measures_and_asserts(write: Write, folder: Path, erf: Callable[..., Erf]) -> None:
    write("net.onnx", onnx_model())
    for layer in ("relu1", "relu2"):
        erf(folder / "net.onnx", inputs=4, layer=layer)  # so that the child need not compute
    write(
        "test_net.py",
        "import sys\n"
        "import pytest\n"
        "pytestmark = pytest.mark.erf(inputs=4, layer='relu1')\n"
        "def test_good(erf):\n"
        "    result = erf('net.onnx')\n"
        "    assert result.metrics['trf_size'] == 7\n"
        "    assert result.stderr['sigma_1'] > 0\n"
        "    result.assert_metric('erf_size', min=2, max=7)\n"
        "    assert 'torch' not in sys.modules\n"
        "@pytest.mark.erf(layer='relu2')\n"
        "def test_bad(erf):\n"
        "    erf('net.onnx').assert_metric('trf_size', max=7, message='The tracker reads 7 px.')\n"
        "def test_other(erf):\n"
        "    erf('net.onnx').assert_close(erf('net.onnx', layer='relu2'), 'trf_size', 'erf_size')\n",
    )
    done = ran("--strict-markers", "-rN")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed" in done.stdout
    assert "The tracker reads 7 px. trf_size: expected ≤ 7 px, found 15 px." in done.stdout
    assert "trf_size differs by -8 px (-53.3%) from the other: 15 → 7 px, the limit is 5%; both" in done.stdout
    assert "erf_size differs by" in done.stdout
    assert "expect.py" not in done.stdout  # the traceback ends in the test


def test_loading_costs_no_torch_and_what_takes_the_fixture_is_marked(write: Write) -> None:
    write("test_two.py", "def test_plain(): pass\ndef test_measured(erf): pass\n")
    write(
        "conftest.py",
        "import sys\n"
        "def pytest_sessionfinish():\n"
        "    heavy = {'torch', 'onnx', 'scipy', 'fastapi', 'erfscope.gate.run', 'erfscope_engine'}\n"
        "    print('loaded:', *sorted(heavy & set(sys.modules)), '|', 'erfscope.pytest_plugin' in sys.modules)\n",
    )
    done = ran("-s", "-m", "not erf")
    assert "1 passed, 1 deselected" in done.stdout, done.stdout + done.stderr
    assert "loaded: | True" in done.stdout


def test_a_marker_without_names_is_refused(write: Write) -> None:
    write("test_three.py", "import pytest\n@pytest.mark.erf(8)\ndef test_measured(erf): pass\n")
    done = ran()
    assert done.returncode == 1
    assert "erf takes fields by name, as in erf(inputs=8); not (8,)" in done.stdout


def test_models_of_every_kind(erf: Callable[..., Erf], folder: Path, write: Write) -> None:
    import torch

    write("net.json", spec(2))
    from_file = erf(folder / "net.json", inputs=4)
    from_dict = erf(spec(2), inputs=4)
    assert from_file.metrics == from_dict.metrics
    assert erf(onnx_model(), inputs=4, layer="relu0").metrics["trf_size"] == 3
    assert erf("preset:plain-5-relu", inputs=2).metrics["trf_size"] == 11
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU())
    assert erf(net, input_shape=(3, 16, 16), inputs=4).metrics["trf_size"] == 3


def test_mistakes_are_told(erf: Callable[..., Erf]) -> None:
    result = erf(spec(2), inputs=4)
    with pytest.raises(LookupError, match="did you mean erf_size"):
        result.assert_metric("erf_sise", min=1)
    with pytest.raises(TypeError, match="needs min, max or both"):
        result.assert_metric("erf_size")
    with pytest.raises(TypeError, match="names of the metrics"):
        result.assert_close(result)
    with pytest.raises(ValueError, match=r"^min 40 is above max 3, so nothing can pass$"):
        result.assert_metric("erf_size", min=40, max=3)
    with pytest.raises(ValueError, match=r"^tolerance: give a share such as \"5%\", or a number"):
        result.assert_close(result, "erf_size", tolerance="x")
    result.assert_close(result, "erf_size", "r90", tolerance=0)


def test_problems_keep_their_class(tmp_path: Path) -> None:
    from erfscope import errors

    with pytest.raises(errors.InvalidTarget, match="no layer 'third'"):
        measure(spec(2), {"layer": "third"}, root=tmp_path, url=None, cache=None)
    with pytest.raises(errors.NotFound, match="does not exist"):
        measure("none.onnx", {}, root=tmp_path, url=None, cache=None)
    with pytest.raises(errors.InvalidRequest, match="/average/inputs"):
        measure(spec(2), {"inputs": 0}, root=tmp_path, url=None, cache=None)
