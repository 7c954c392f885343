"""Weights beside a model, as exporters write them: every way in measures the same; hostile forms are refused."""

import io
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import ModelProto, TensorProto, helper, numpy_helper
from tests.house.conftest import PATIENCE, House, command_of
from tests.house.hostile_onnx import convolution
from tests.house.test_hostile_onnx import resident
from tests.house.test_whole_way import ended, succeeded
from typer.testing import CliRunner

from erfscope import Client, errors
from erfscope.cli import app

CONFIG = '[[check]]\nmodel = "net.onnx"\ninputs = 2\ntrf_size = { min = 1 }\n'
REQUEST = {"average": {"inputs": 2}}
MODEL = "net.onnx"
DATA = "net.onnx.data"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ResNet-18 as torch.onnx.export writes it today, and with everything in one.onnx."""
    folder = tmp_path_factory.mktemp("resnet")
    torch.manual_seed(0)
    network, image = torchvision.models.resnet18(weights=None).eval(), torch.zeros(1, 3, 224, 224)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(network, (image,), str(folder / MODEL), verbose=False)
        torch.onnx.export(network, (image,), str(folder / "one.onnx"), verbose=False, external_data=False)
    assert (folder / DATA).stat().st_size > 40_000_000
    return folder


@pytest.fixture
def here(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with copies of them, where the command line measures by itself."""
    for file in exported.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERFSCOPE_URL", raising=False)
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def http(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def reference(house: House, exported: Path) -> bytes:
    """The map of the one file, as the service gives it."""
    with Client(house.url) as client:
        return client.run(exported / "one.onnx", inputs=2).array().tobytes()


def command(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line_reads_what_lies_beside_the_model(here: Path) -> None:
    assert json.loads(command("layers", MODEL, "--json")) == json.loads(command("layers", "one.onnx", "--json"))
    for name in (MODEL, "one.onnx"):
        command("measure", name, "--inputs", "2", "-o", f"{name}.npy")
    assert Path(f"{MODEL}.npy").read_bytes() == Path("one.onnx.npy").read_bytes()


def test_the_gate_measures_again_when_only_the_data_change(here: Path) -> None:
    Path("erfscope.toml").write_text(CONFIG)

    def counts() -> tuple[int, int]:
        report = json.loads(command("check", "--json"))
        return report["measured"], report["cached"]

    assert [counts(), counts()] == [(1, 0), (0, 1)]
    with Path(DATA).open("r+b") as file:
        first = np.frombuffer(file.read(4), np.float32)
        file.seek(0)
        file.write((first + np.float32(1)).tobytes())
    assert [counts(), counts()] == [(1, 0), (0, 1)]


def test_the_sdk_sends_what_lies_beside_the_model(house: House, exported: Path, reference: bytes) -> None:
    with Client(house.url) as client:
        assert client.run(exported / MODEL, inputs=2).array().tobytes() == reference
        stored = client.models.upload(exported / MODEL)
        assert list(stored.data) == [DATA]
        assert client.submit(stored, inputs=2).job.cached, "the same name as in the form"
        assert client.models.inspect(exported / MODEL).default_layer is not None


def test_a_form_of_two_files(http: httpx2.Client, exported: Path, reference: bytes) -> None:
    """As `curl -F model=@net.onnx -F data=@net.onnx.data` sends it, as a question of its own."""
    files = [(part, (name, (exported / name).read_bytes())) for part, name in (("model", MODEL), ("data", DATA))]
    request = json.dumps({**REQUEST, "dtype": "float32", "target": {"channels": "sum"}})
    job = succeeded(http, http.post("/erf", files=files, data={"request": request}))
    array = np.load(io.BytesIO(http.get(job["links"]["map"]).content), allow_pickle=False)
    assert array.tobytes() == reference


def test_a_part_that_was_not_sent_is_named_with_both_ways_out(http: httpx2.Client, exported: Path) -> None:
    for path in ("/erf", "/models"):
        accepted = http.post(path, files={"model": (MODEL, (exported / MODEL).read_bytes())})
        assert accepted.status_code == 202
        if path == "/erf":
            error = ended(http, accepted)["error"]
            assert error["type"] == "/problems/external-data"
            assert error["context"]["files"] == [DATA]
            assert all(words in error["detail"] for words in (f"'{DATA}'", "`data`", "external_data=False"))


def test_a_path_whose_data_are_gone_is_refused_before_anything_is_sent(house: House, here: Path) -> None:
    Path(DATA).unlink()
    with (
        Client(house.url) as client,
        pytest.raises(errors.ExternalData, match=r"'net\.onnx\.data'.*external_data=False"),
    ):
        client.run(MODEL)
    done = CliRunner().invoke(app, ["measure", MODEL])
    assert isinstance(done.exception, errors.ExternalData)


# ---- hostile forms, through the jail


def outside(**entries: str) -> ModelProto:
    """A convolution whose 432 bytes of weights lie elsewhere."""
    made = convolution()
    _move(made.graph.initializer[0], **entries)
    return made


def _move(tensor: TensorProto, **entries: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def overlapping() -> ModelProto:
    """A second weight that begins in the middle of the first."""
    made = outside(location="w.bin", offset="0", length="432")
    _move(made.graph.initializer.add(name="v", data_type=1, dims=[4]), location="w.bin", offset="216", length="16")
    return made


def of_many_files() -> ModelProto:
    """100,000 names of files."""
    made = outside(location="w.bin")
    for number in range(10**5):
        _move(made.graph.initializer.add(name=f"t{number}", data_type=1, dims=[0]), location=f"{number}.bin")
    return made


WEIGHTS = np.ones((4, 3, 3, 3), np.float32).tobytes()
HOSTILE: dict[str, tuple[Callable[[], ModelProto], Mapping[str, bytes], tuple[str, ...]]] = {
    "absolute": (lambda: outside(location="/etc/hostname"), {"w.bin": WEIGHTS}, ("'/etc/hostname'",)),
    "above": (lambda: outside(location="../w.bin"), {"w.bin": WEIGHTS}, ("'../w.bin'",)),
    "in /proc": (lambda: outside(location="/proc/self/environ"), {}, ("'/proc/self/environ'",)),
    "another file of the store": (lambda: outside(location="{blob}"), {}, ("'{blob}'", "`data`")),
    "never sent": (lambda: outside(location="w.bin"), {}, ("'w.bin'", "`data`", "external_data=False")),
    "another sent": (overlapping, {"v.bin": WEIGHTS}, ("'w.bin'", "`data`")),
    "nobody names it": (lambda: outside(location="w.bin"), {"w.bin": WEIGHTS, "v.bin": b"1"}, ("'v.bin'", "'w.bin'")),
    "no data at all": (convolution, {"v.bin": b"1"}, ("'v.bin'", "names none")),
    "beyond the end": (lambda: outside(location="w.bin", offset="4"), {"w.bin": WEIGHTS}, ("'w'", "'w.bin'")),
    "cut short": (lambda: outside(location="w.bin"), {"w.bin": WEIGHTS[:-1]}, ("'w'", "'w.bin'", "431")),
    "overlapping": (overlapping, {"w.bin": WEIGHTS}, ("'w'", "'v'", "'w.bin'", "overlap")),
    "100,000 files": (of_many_files, {"w.bin": WEIGHTS}, ("100001",)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_form_is_refused_by_name(name: str, http: httpx2.Client, onnx_model: bytes) -> None:
    make, data, words = HOSTILE[name]
    stored = http.post("/models", content=WEIGHTS, headers={"Content-Type": "application/octet-stream"}).json()
    blob = f"{stored['sha256'][:2]}/{stored['sha256']}"  # where another file of this very store lies
    model = make()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = entry.value.replace("{blob}", blob)
    files = [("model", (MODEL, model.SerializeToString())), *(("data", part) for part in data.items())]
    job = ended(http, http.post("/erf", files=files, data={"request": json.dumps(REQUEST)}))
    assert job["status"] == "failed"
    assert job["error"]["type"] == "/problems/external-data", job["error"]
    assert all(word.replace("{blob}", blob) in job["error"]["detail"] for word in words), job["error"]["detail"]
    assert len(job["error"]["detail"]) < 2_000
    assert job["attempt"] == 1
    good = {"average": {"inputs": 1, "seed": 3000 + len(name)}}
    succeeded(http, http.post("/erf", files={"model": (MODEL, onnx_model)}, data={"request": json.dumps(good)}))


def test_the_forms_above_are_hostile_and_the_plain_one_is_not(http: httpx2.Client) -> None:
    files = [("model", (MODEL, outside(location="w.bin").SerializeToString())), ("data", ("w.bin", WEIGHTS))]
    succeeded(http, http.post("/erf", files=files, data={"request": json.dumps(REQUEST)}))


# ---- a model larger than a message may be

WIDE = 16_384  # channels: each 1×1 convolution between them has 1 GiB of weights
LARGE = 3
MEMORY_OF_THE_API = 200 << 20
MEMORY_OF_A_CHILD = (4 << 30) + (1 << 30)  # its limit, and what it has at its start


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A 3×3 convolution, then 1×1 ones of 1 GiB each in sparse files: all of their weights are 0 but the first."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((WIDE, 3, 3, 3)).astype(np.float32)
    nodes, weights, last = [helper.make_node("Conv", ["x", "w"], ["c"])], [numpy_helper.from_array(first, "w")], "c"
    for number in range(LARGE):
        weight = TensorProto(name=f"w{number}", data_type=1, dims=[WIDE, WIDE, 1, 1])
        _move(weight, location=f"part{number}.bin")
        weights.append(weight)
        nodes.append(helper.make_node("Conv", [last, weight.name], [f"c{number}"]))
        last = f"c{number}"
        with (tmp_path / f"part{number}.bin").open("wb") as file:
            file.write(np.float32(2 + number).tobytes())
            file.truncate(4 * WIDE * WIDE)
    ends = [
        helper.make_tensor_value_info(name, 1, [1, n, 9 - k, 9 - k]) for name, n, k in (("x", 3, 0), (last, WIDE, 2))
    ]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / MODEL)
    yield tmp_path / MODEL
    for file in tmp_path.iterdir():
        if file.is_file():
            file.unlink()


@pytest.fixture
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own, whose memory nobody else has used; its files do not stay."""
    folder = tmp_path_factory.mktemp("large")
    running = House(folder)
    yield running
    running.stop()
    shutil.rmtree(folder)


def test_three_gibibytes_of_weights(large: Path, emptied: House) -> None:
    """Measured, through all of them, while neither process holds more than it may."""
    ended_watching, peak = threading.Event(), [0]

    def watch() -> None:
        while not ended_watching.wait(0.05):
            peak[0] = max([peak[0], *(resident(pid) for pid in emptied.children())])

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with Client(emptied.url, timeout=PATIENCE) as client:
            result = client.run(large, inputs=2)
            array = result.array()
    finally:
        ended_watching.set()
        watching.join()
    weights = numpy_helper.to_array(onnx.load(large, load_external_data=False).graph.initializer[0])
    # a linear network whose only way is through channel 0: the gradient is that channel's kernel, times 2·3·4
    kernel = np.abs(weights[0]).sum(axis=0)
    box = tuple(slice(lo, hi) for lo, hi in result.data.trf.box)
    np.testing.assert_allclose(array[box], kernel / kernel.max(), rtol=1e-5)
    assert np.count_nonzero(array) == 9
    assert (1 << 30) < peak[0] < MEMORY_OF_A_CHILD
    (api,) = (pid for pid in emptied.family() if b"erfscope_service" in command_of(pid))
    assert (20 << 20) < resident(api) < MEMORY_OF_THE_API
