"""`erfscope check` in the three miniature repositories, with a service that is down, and its cache."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image
from tests.gate.conftest import Check, installed_environment, onnx_model, spec

from erfscope import _local
from erfscope.gate.cache import KEPT

Write = Callable[..., Path]
CONFIG = '[[check]]\nmodel = "models/*"\ninputs = 4\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(folder))
    return folder


def findings(done: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.out)["findings"]
    return found


def test_passing(check: Check, miniature: Callable[[str], Path]) -> None:
    miniature("passing")
    done = check()
    assert done.code == 0, done.out
    assert "✓ pass" in done.words
    assert "pass: 7 passed;" in done.words
    assert "How to mend" not in done.out


def test_failing_says_what_to_do(check: Check, miniature: Callable[[str], Path]) -> None:
    miniature("failing")
    done = check()
    assert done.code == 1, done.out
    assert "The head needs 24 px of context around a box. erf_size: expected ≥ 24 px, found 1" in done.words
    assert "· erf_size and its drift" in done.words  # one entry, and what undoes the change comes first
    assert "How to mend: Undo that change to the model. Where it is meant: `erfscope check --update" in done.words
    assert done.words.count("Undo that change") == 1
    assert "For the bound: Let the layer see more: larger kernels or dilation" in done.words
    assert "erf_size differs by -" in done.words
    assert "pyproject.toml:11" in done.words


def test_a_broken_configuration(check: Check, miniature: Callable[[str], Path]) -> None:
    miniature("broken")
    done = check()
    assert done.code == 2
    assert "'erf_sise' is neither a key of a check nor a metric; did you mean erf_size" in done.words
    assert "erfscope.toml:6" in done.words


def test_a_service_that_is_down(check: Check, miniature: Callable[[str], Path], cache: Path) -> None:
    miniature("passing")
    done = check("--url", "http://127.0.0.1:9", "--junit", "junit.xml")
    assert done.code == 3
    assert done.out.count("no answer from http://127.0.0.1:9") == 2  # both models; the service was asked once
    assert "Start a service with `erfscope up`" in done.words
    assert 'errors="2"' in Path("junit.xml").read_text("utf-8")


def test_the_second_run_computes_nothing_and_loads_no_torch(
    check: Check, miniature: Callable[[str], Path], tmp_path: Path
) -> None:
    miniature("passing")
    check()
    script = (
        "import sys; sys.argv = ['erfscope', 'check', '--json']\n"
        "from erfscope.cli import main\n"
        "try: main()\n"
        "finally: print(*sorted({'torch', 'onnx', 'scipy', 'erfscope_engine'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=installed_environment(), capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["measured"], report["cached"]) == (0, 0, 2)
    assert done.stderr.strip() == ""


def test_one_measurement_per_distinct_request(
    check: Check, write: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    really = _local.measure

    def counted(prepared: Any, *rest: Any) -> Any:
        asked.append(prepared.name)
        return really(prepared, *rest)

    monkeypatch.setattr(_local, "measure", counted)
    write("models/a.json", spec(side=20))
    write("models/b.json", spec(2, side=20))
    write("models/same-as-a.json", spec(side=20))
    write(
        "erfscope.toml",
        CONFIG
        + "erf_size = { min = 1 }\n"
        + CONFIG
        + "average = { inputs = 4, seed = 0 }\nsigma_1 = { min = 0.1 }\n"  # the same request in other words
        + CONFIG
        + "seed = 1\nsigma_1 = { min = 0.1 }\n",
    )
    assert check().code == 0
    assert len(asked) == 4  # two networks, two seeds
    write("models/b.json", spec(3, side=20))
    assert check().code == 0
    assert len(asked) == 6
    assert check("--no-cache", "models/a.json").code == 0
    assert len(asked) == 8


def test_the_cache_mends_itself_and_forgets(check: Check, write: Write, cache: Path) -> None:
    write("models/a.json", spec(side=20))
    write("erfscope.toml", CONFIG + "erf_size = { min = 1 }")
    assert json.loads(check("--json").out)["measured"] == 1
    (entry,) = cache.glob("*.json")
    entry.write_text("{")
    assert json.loads(check("--json").out)["measured"] == 1
    assert json.loads(check("--json").out)["cached"] == 1
    long_ago = time.time() - KEPT - 60
    os.utime(entry, (long_ago, long_ago))
    write("models/a.json", spec(2, side=20))
    check()
    assert not entry.exists()
    assert len(list(cache.glob("*.json"))) == 1


def test_pictures_are_drawn_once_and_cached(check: Check, write: Write, cache: Path) -> None:
    write("models/a.json", spec(side=20))
    write("erfscope.toml", CONFIG + "erf_size = { min = 1 }")
    check()  # draws for the cache: no torch is loaded for the picture of a model that did not change
    assert json.loads(check("--json", "--pictures", "drawn").out)["cached"] == 1
    (picture,) = Path("drawn").iterdir()
    assert picture.name.startswith("a-")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_only_the_given_paths(check: Check, write: Write) -> None:
    for name in ("models/a.json", "models/deep/b.json", "c.json", "models/.cache/d.json", "models/note.txt"):
        write(name, spec(side=20))
    write("erfscope.toml", '[[check]]\nmodel = ["models/**/*", "c.json"]\ninputs = 4\nerf_size = { min = 1 }')
    assert {one["model"] for one in findings(check("--json"))} == {"models/a.json", "models/deep/b.json", "c.json"}
    assert {one["model"] for one in findings(check("--json", "models/deep"))} == {"models/deep/b.json"}
    done = check("other.json")
    assert (done.code, "other.json does not exist" in done.out) == (2, True)
    write("other.json", spec())
    assert "other.json is in no check" in check("other.json").out


def test_presets_and_onnx(check: Check, write: Write) -> None:
    write("net.onnx", onnx_model())
    write(
        "erfscope.toml",
        '[[check]]\nmodel = "preset:plain-5-relu"\ninputs = 2\ntrf_size = { min = 11, max = 11 }\n'
        '[[check]]\nmodel = "net.onnx"\nlayer = "relu1"\ninputs = 2\ntrf_size = { min = 7, max = 7 }\n',
    )
    done = check()
    assert done.code == 0, done.out


@pytest.mark.parametrize(
    ("name", "content", "more", "code", "said"),
    [
        ("a.json", spec(), "layer = 'third'", 2, "no layer 'third'"),
        ("a.json", "{", "", 2, "is not JSON"),
        ("a.json", {"layers": []}, "", 2, "architecture"),
        ("a.onnx", b"no model", "", 2, "not a valid ONNX model"),
        ("a.onnx", onnx_model(), "draws = 2", 2, "or ask for more inputs"),
        ("a.json", spec(), "sigma_3 = { min = 1 }", 2, "sigma_3 does not exist for a model with 2 spatial dimensions"),
    ],
)
def test_what_cannot_be_measured(
    check: Check, write: Write, name: str, content: Any, more: str, code: int, said: str
) -> None:
    write(f"models/{name}", content)
    write("models/good.json", spec(side=20))
    write("erfscope.toml", CONFIG + "erf_size = { min = 1 }\n" + more)
    done = check()
    assert done.code == code, done.out
    assert said in done.words
    assert "Traceback" not in done.out + done.err


def test_a_model_that_is_not_there_does_not_stop_the_others(check: Check, write: Write) -> None:
    write("models/good.json", spec(side=20))
    rules = "inputs = 4\ntrf_size = { min = 9 }\ndrift = { max = '5%' }\n"
    write(
        "erfscope.toml",
        '[[check]]\nname = "lone"\nmodel = ["gone.onnx", "models/good.json"]\n'
        f'{rules}[[check]]\nmodel = "models/*"\n{rules}',
    )
    done = check("--json")
    assert done.code == 2
    broken, *others = findings(done)
    assert (broken["check"], broken["model"], broken["verdict"], broken["line"]) == ("lone", "gone.onnx", "broken", 3)
    assert "lone: model 'gone.onnx' does not exist in" in broken["detail"]
    assert {(one["check"], one["metric"]) for one in others if one["verdict"] == "fail"} >= {
        ("lone", "trf_size"),
        ("check 2", "trf_size"),
    }
    write("gone.onnx", onnx_model())
    assert check("--update-baseline").code == 1
    before = Path("erfscope-baseline.json").read_text("utf-8")
    Path("gone.onnx").unlink()
    assert check("--update-baseline").code == 2
    assert Path("erfscope-baseline.json").read_text("utf-8") == before


def test_a_model_that_vanished_is_a_failure_until_the_baseline_is_updated(check: Check, write: Write) -> None:
    for name in ("a", "seg"):
        write(f"models/{name}.json", spec(side=20))
    write("erfscope.toml", CONFIG + "trf_size = {}\ndrift = { max = '5%' }\n")
    assert check("--update-baseline").code == 0
    assert check().code == 0
    Path("models/seg.json").unlink()
    done = check()
    assert done.code == 1
    assert "models/seg.json is in the baseline, and no check finds a model of this name any more. How to" in done.words
    (gone,) = (one for one in findings(check("--json", "models")) if one["verdict"] == "fail")
    assert gone["model"] == "models/seg.json"
    assert f'"model": "{gone["model"]}"' in Path("erfscope-baseline.json").read_text().splitlines()[gone["line"] - 1]
    assert check("models/a.json").code == 0  # nobody asked about the other
    assert "models/seg.json: gone; no check measures it any more." in check("--update-baseline").words
    assert check().code == 0


@pytest.mark.parametrize("name", ["a.onnx", "a.json"])
def test_a_pointer_of_git_lfs_is_told_as_one(check: Check, write: Write, name: str) -> None:
    write(f"models/{name}", f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123456\n")
    write("erfscope.toml", CONFIG + "trf_size = { min = 1 }\n")
    done = check()
    assert done.code == 2
    assert f"{name} is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`" in done.words


def test_weights_beside_a_model_may_be_a_pointer_too(check: Check, write: Write, folder: Path) -> None:
    model = onnx.load_from_string(onnx_model())
    write("models/net.onnx", b"")
    onnx.save(model, folder / "models/net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    write("models/net.data", "version https://git-lfs.github.com/spec/v1\n")
    write("erfscope.toml", '[[check]]\nmodel = "models/net.onnx"\ninputs = 4\ntrf_size = { min = 1 }\n')
    done = check()
    assert done.code == 2
    assert "net.data is a pointer of Git LFS" in done.words


def test_a_baseline_with_a_conflict_tells_the_way_that_resolves_it(check: Check, write: Write, folder: Path) -> None:
    def git(*words: str) -> int:
        names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *names, *words], check=False, capture_output=True).returncode

    write("erfscope.toml", CONFIG + "trf_size = {}\ndrift = { max = '5%' }\n")
    git("init", "--quiet", "--initial-branch=main")
    for branch, name in (("main", "a"), ("ours", "b"), ("theirs", "c")):
        git("checkout", "--quiet", "-b", branch, "main")
        write(f"models/{name}.json", spec(dilation=2, side=20, name=name))
        write("models/a.json", spec(dilation={"a": 1, "b": 2, "c": 3}[name], side=20))
        assert check("--update-baseline").code == 0
        git("add", "--all")
        git("commit", "--quiet", "--message", branch)
    assert git("merge", "ours") == 1
    git("checkout", "--theirs", "models/a.json")
    (broken,) = findings(check("--json"))
    assert broken["exit_code"] == 2
    assert Path("erfscope-baseline.json").read_text("utf-8").splitlines()[broken["line"] - 1].startswith("<<<<<<< ")
    way = re.findall("`([^`]+)`", broken["detail"])
    assert [words.split()[:2] for words in way] == [["git", "checkout"], ["erfscope", "check"], ["git", "diff"]]
    assert git(*way[0].split()[1:]) == 0
    assert check(*way[1].split()[2:]).code == 0
    assert check().code == 0
    compared = subprocess.run(way[2].split(), check=True, capture_output=True, text=True).stdout
    assert '+      "model": "models/b.json",' in compared


def test_a_renamed_model_is_recognised_by_its_content(check: Check, write: Write) -> None:
    for name in ("a", "seg"):
        write(f"models/{name}.json", spec(side=20, name=name))
    rules = "trf_size = {}\ndrift = { max = '5%' }\n"
    write("erfscope.toml", CONFIG + rules)
    assert check("--update-baseline").code == 0
    Path("models/seg.json").rename("models/segment.json")
    done = check()
    assert done.code == 1
    assert "any more. It looks renamed: models/segment.json has the same content." in done.words
    assert "has no baseline" not in done.words
    assert [one["model"] for one in findings(check("--json")) if one["verdict"] == "fail"] == ["models/seg.json"]
    write("erfscope.toml", CONFIG.replace('"models/*"', '["models/a.json", "models/seg.json"]') + rules)
    done = check()
    assert done.code == 2
    assert "model 'models/seg.json' does not exist in" in done.words
    assert "did you mean models/segment.json?" in done.words
    assert "It looks renamed: models/segment.json has the same content. Write models/segment.json into" in done.words
    write("models/segment.json", spec(2, side=20))
    assert "It looks renamed" not in check().words
    write("erfscope.toml", CONFIG + rules)
    assert "models/aa.json does not exist; did you mean models/a.json?" in check("models/aa.json").words


def test_a_copy_is_no_new_name(check: Check, write: Write) -> None:
    for name in ("a", "b"):
        write(f"models/{name}.json", spec(side=20))
    write("erfscope.toml", CONFIG + "trf_size = {}\ndrift = { max = '5%' }\n")
    assert check("--update-baseline").code == 0
    Path("models/b.json").unlink()
    done = check()
    assert done.code == 1
    assert "It looks renamed" not in done.words


def test_what_could_not_be_measured_leaves_no_empty_baseline(check: Check, write: Write) -> None:
    write("models/a.onnx", b"no model")
    write("erfscope.toml", CONFIG + "trf_size = {}\ndrift = { max = '5%' }\n")
    done = check("--update-baseline")
    assert done.code == 2
    assert "wrote" not in done.words
    assert not Path("erfscope-baseline.json").exists()


def test_images_are_fed(check: Check, write: Write) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (20, 20), "teal").save(picture, "PNG")
    write("teal.png", picture.getvalue())
    write("models/a.json", spec(side=20))
    write("erfscope.toml", CONFIG + "images = 'teal.png'\ntrf_size = { min = 5, max = 5 }\n")
    assert check().code == 0


def test_a_cache_that_cannot_be_written_is_no_failure(
    check: Check, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERFSCOPE_CACHE_DIR", str(write("occupied", "a file, not a folder")))
    write("models/a.json", spec(side=20))
    write("erfscope.toml", CONFIG + "erf_size = { min = 1 }")
    done = check()
    assert done.code == 0
    assert "cannot be written" in done.err


def test_levels(check: Check, write: Write) -> None:
    write("models/a.json", spec(side=20))
    write("erfscope.toml", CONFIG + "erf_size = { min = 99, level = 'warn' }\ntrf_size = { min = 99, level = 'off' }\n")
    done = check()
    assert done.code == 0
    assert "! warn" in done.words
    assert "trf_size" not in done.out
    write("erfscope.toml", CONFIG + "erf_size = { min = 99, level = 'off' }\n")
    assert "nothing to check; 0 measured" in check().out


def test_a_value_near_its_bound_is_remarked(check: Check, write: Write) -> None:
    write("models/a.json", spec(side=20))
    write("erfscope.toml", CONFIG + "sigma_1 = { min = 0.1 }")
    (one,) = findings(check("--json"))
    near = one["found"] - 0.5 * one["stderr"]
    write("erfscope.toml", CONFIG + f"sigma_1 = {{ min = {near!r} }}")
    done = check()
    assert done.code == 0
    assert "note: models/a.json: sigma_1: expected" in done.words
    assert "0.5 standard errors from the bound" in done.words


def test_a_model_that_is_renamed_and_exported_anew_is_recognised_by_its_layers(check: Check, write: Write) -> None:
    write("models/net.onnx", onnx_model((1, 2, 4)))
    write(
        "erfscope.toml", '[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*.onnx"\ndrift = { max = 0 }\nr90 = {}\n'
    )
    assert check("--update-baseline").code == 0
    Path("models/net.onnx").unlink()
    write("models/other.onnx", onnx_model((1, 2, 2)))
    assert "It looks renamed" not in check().words
    write("models/segment.onnx", onnx_model((1, 2, 4), seed=1))
    renamed = "It looks renamed: models/segment.onnx has the same input shape and layers, with other bytes"
    assert f"any more. {renamed}" in check().words
    text = Path("erfscope.toml").read_text("utf-8")
    Path("erfscope.toml").write_text(text.replace("models/*.onnx", "models/net.onnx"), "utf-8")
    assert renamed in check().words


def test_a_file_that_is_cut_in_half_is_placed_at_the_file_and_tells_what_to_do(check: Check, write: Write) -> None:
    write("models/net.onnx", onnx_model()[:500])
    write("erfscope.toml", CONFIG.replace("models/*.json", "models/*.onnx") + "trf_size = { min = 1 }\n")
    run = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in run.items():
            patch.setenv(name, value)
        done = check("--report", "r.json", "--markdown", "m.md", "--pictures", "p")
    assert done.code == 2
    assert "The file is not a valid ONNX model: It is not ONNX at all, or it is cut short." in done.words
    assert "How to mend: Export the model again, or restore its file from Git: `git checkout BRANCH --" in done.words
    (finding,) = json.loads(Path("r.json").read_text("utf-8"))["findings"]
    assert (finding["file"], finding["line"], finding["rule"]) == ("models/net.onnx", 1, "measurement")
    text = Path("m.md").read_text("utf-8")
    assert text.startswith("## ✗ models/net.onnx cannot be measured\n")
    assert "has the log." in text
    write("models/net.onnx", f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123456\n")
    done = check("--report", "r.json")
    assert "✗ broken models/net.onnx · measurement models/net.onnx is a pointer of Git LFS, not the file" in done.words
    assert json.loads(Path("r.json").read_text("utf-8"))["findings"][0]["file"] == "models/net.onnx"
