"""Advice by SDK and command, in this process and by a service."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.client.command_line import SPEC, Run
from tests.client.conftest import Reply, Service, problem_json

from erfscope import errors
from erfscope.cli.advice_picture import render
from erfscope.cli.advice_tables import with_modules
from erfscope.cli.advise import Announced, advise
from erfscope_contract.advice import Advice, Change, Interrupted
from erfscope_contract.lengths import Lengths
from erfscope_contract.untrained import LOOK_UNTRAINED

CHANGE = {
    "kind": "dilation", "text": "dilate first: 1 → 4", "erf_analytic": 9.5, "erf_measured": 9.42, "stderr": 0.21,
    "mass_50_side": 8.5,
    "edits": [{"layer": "first", "field": "dilation", "before": "1", "after": "4"}], "trf_size": [11, 11],
    "reaches": True, "layer_shape": [2, 16, 16], "added_macs": 0, "added_parameters": 8, "added_memory": -100,
    "weights_kept": 1.0, "lattice": 0.2, "pareto": True,
}  # fmt: skip
ADVICE: dict[str, Any] = {
    "layer": "second", "want": 9, "input_shape": [1, 32, 32], "layer_shape": [2, 32, 32], "trf_size": [5, 5],
    "erf_analytic": 5.0, "erf_measured": 4.9, "stderr": 0.1, "reaches": False, "macs": 12000, "parameters": 54,
    "memory": 1000,
    "layers": [{"name": "first", "operator": "conv", "trf_size": [3, 3], "erf_size": 3.0, "adds": 2.0, "idle": True}],
    "changes": [CHANGE], "tried": 4, "engine": "0", "torch": "2", "notes": ["said"],
}  # fmt: skip


def advice_json(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A whole AdviceJob."""
    whole = {
        "id": "advice-1", "status": status, "created_at": "2026-01-02T00:00:00Z", "model": {"name": "tiny"},
        "request": {"model": {"architecture": SPEC}, "want": 9}, "links": {"self": "/advice/advice-1"},
        "result": ADVICE if status == "succeeded" else None,
    }  # fmt: skip
    return whole | changes


def test_the_sdk_waits_for_the_answer(client: Any, service: Service) -> None:
    service.on("POST /advice", Reply(202, advice_json("queued")))
    service.on("GET /advice/advice-1", Reply(body=advice_json("running", stage="search")), Reply(body=advice_json()))
    told: list[str] = []
    found = client.advise(SPEC, want=9, layer="second", verify=1, progress=lambda stage, share: told.append(stage))
    assert found.changes[0].kind == "dilation"
    assert "search" in told
    body = json.loads(service.seen[0].body)
    assert (body["want"], body["layer"], body["verify"]) == (9, "second", 1)
    assert body["model"]["architecture"]["name"] == "tiny"


def test_a_file_is_stored_first(client: Any, service: Service) -> None:
    stored = {"size": 4, "name": "net.onnx", "status": "queued", "sha256": "a" * 64}
    service.on("POST /models", Reply(202, stored))
    service.on("POST /advice", Reply(202, advice_json()))
    client.advise(b"onnx", want=9)
    assert json.loads(service.seen[-1].body)["model"] == {"sha256": "a" * 64}


def test_failures_and_typos_are_errors(client: Any, service: Service) -> None:
    failed = advice_json("failed", error=problem_json("unsupported-feature", "softmax at attention"))
    service.on("POST /advice", Reply(202, failed))
    with pytest.raises(errors.UnsupportedFeature, match="softmax"):
        client.advise(SPEC, want=9)
    with pytest.raises(errors.InvalidRequest, match="wanted"):
        client.advise(SPEC, want=9, wanted=1)
    service.on("POST /advice", Reply(202, advice_json("queued")))
    service.on("GET /advice/advice-1", Reply(body=advice_json("queued")))
    with pytest.raises(errors.Timeout, match="goes on"):
        client.advise(SPEC, want=9, timeout=0)


def test_the_command_shows_a_table(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    service.on("POST /advice", Reply(202, advice_json()))
    done = run("advise", "spec.json", "--want", "9", "--layers", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "1* dilate first: 1 → 4 9.42 ± 0.21 8.5 11 0 +14.8% -10.0% 16×16 100% 0.20 holes" in told
    assert "as it is 4.90 ± 0.10 5 12k 54 1kB 32×32" in told
    assert "second: ERF 4.90 ± 0.10 px, TRF 5×5 px, at input 1×32×32." in told
    assert "First choice: dilate first: 1 → 4." in told
    assert "add (nearly) nothing to it: first." in told
    assert "note: said" in told


def test_where_nothing_reaches_the_next_question_is_named(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    short = ADVICE | {"want": 20, "changes": [CHANGE | {"reaches": False}], "coarsest": "first"}
    about = {"model": "tiny", "weights": "given", "inputs": 1, "draws": 8, "source": "normal", "seed": 3}
    service.on("POST /advice", Reply(202, advice_json(result=short | {"about": about})))
    flags = ["--weights", "random", "--verify", "2"]
    done = run("advise", "spec.json", "--want", "20", *flags, "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "(falls short)" in told
    assert "No change of the network that was measured reaches it: the best of " in told
    assert f"erfscope advise spec.json --layer first --want 20 --weights random --verify 2 --url {service.url}." in told
    assert (
        "tiny: weights by the spec's scheme; 8 draws of the weights × 1 input (normal); seed 3; input 1×32×32." in told
    )


SMALLER = CHANGE | {
    "kind": "input_scale", "text": "feed the image at 1/3 of its size", "erf_measured": 14.7, "stderr": 0.3,
    "trf_size": [15, 15], "layer_shape": [2, 11, 11], "added_macs": -10667, "added_parameters": 0, "input_parts": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "flags", "words", "command"),
    [
        (
            ["--object", "9"], [], "The objects have 3 px there, an ERF of 4.5 px is needed, and 4.9 px are there.",
            "erfscope fit spec.json --layer second --object 3 --inputs 4 --url",
        ),
        (
            ["--object", "2.7m"], ["--spacing", "0.3m"], "The objects have 3 px there",
            "erfscope fit spec.json --layer second --object 2.7m --inputs 4 --spacing 0.9m --url",
        ),
        (
            ["--want", "13.5"], [], "An ERF of 4.5 px is needed",
            "erfscope measure spec.json --layer second --inputs 4 --url",
        ),
    ],
)  # fmt: skip
def test_a_smaller_input_is_a_row_with_the_command_that_tests_it(
    run: Run, service: Service, tmp_path: Path, asked: list[str], flags: list[str], words: str, command: str
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    short = ADVICE | {"want": 13.5, "changes": [SMALLER, CHANGE | {"reaches": False}], "coarsest": "first"}
    short |= {} if asked[0] == "--want" else {"object_size": 9}
    service.on("POST /advice", Reply(202, advice_json(result=short)))
    done = run("advise", "spec.json", *asked, *flags, "--inputs", "4", "--verify", "2", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "No change of the network that was measured reaches it" in told
    assert f"First choice: feed the image at 1/3 of its size. {words}" in told
    assert f"Test it, or go on from it, with: {command} {service.url}" in told
    assert "Next: ask at the coarsest level" in told


def test_beside_a_smaller_input_the_best_change_of_the_network_is_named(
    run: Run, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    unsure = CHANGE | {"erf_measured": 13.2, "stderr": 0.4, "unsure": True}
    service.on("POST /advice", Reply(202, advice_json(result=ADVICE | {"want": 13.5, "changes": [SMALLER, unsure]})))
    done = run("advise", "spec.json", "--want", "13.5", "--url", service.url)
    told = " ".join(done.stdout.split())
    assert "First choice: feed the image at 1/3 of its size." in told
    assert "At the input as it is, unsure: dilate first: 1 → 4. Its ERF is 13.20 ± 0.40 px" in told
    assert "No change" not in told


def test_of_a_layer_within_the_network_it_is_said_first(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    service.on("POST /advice", Reply(202, advice_json(result=ADVICE | {"head": "classes"})))
    done = run("advise", "spec.json", "--want", "9", "--layer", "second", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert told.index("A change that widens it may do nothing at classes") < told.index("1* dilate first")
    assert "First choice for second alone: dilate first: 1 → 4." in told


def test_a_change_that_may_reach_is_no_sure_choice(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    unsure = CHANGE | {"erf_measured": 9.42, "stderr": 6.0, "unsure": True}
    service.on("POST /advice", Reply(202, advice_json(result=ADVICE | {"want": 20, "changes": [unsure]})))
    done = run("advise", "spec.json", "--want", "20", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "dilate first: 1 → 4 (unsure)" in told
    assert (
        "First choice, unsure: dilate first: 1 → 4. Its ERF is 9.4 ± 6.0 px, and 20 px are asked for. Take more "
        "samples (samples, --inputs)." in told
    )


@pytest.mark.parametrize(
    ("want", "changes", "words"),
    [
        (4.8, [], "Nothing needs to change."),
        (
            5, [CHANGE],
            "Unsure whether a change is needed: the ERF is 4.90 ± 0.10 px, and 5 px are asked for. About 32 samples "
            "would decide it (samples, --inputs 32); there were 8. First choice, if one is needed: dilate first: 1 → "
            "4.",
        ),
        (5, [], "there were 8. No change of the network that was measured reaches it"),
    ],
)  # fmt: skip
def test_a_network_that_may_reach_is_not_said_to(
    run: Run, service: Service, tmp_path: Path, want: float, changes: list[Any], words: str
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    about = {"model": "tiny", "weights": "given", "inputs": 1, "draws": 8, "source": "normal", "seed": 0}
    enough = ADVICE | {"want": want, "reaches": True, "changes": changes, "about": about}
    service.on("POST /advice", Reply(202, advice_json(result=enough)))
    done = run("advise", "spec.json", "--want", str(want), "--url", service.url)
    assert done.returncode == 0, done.stderr
    assert words in " ".join(done.stdout.split())


def test_untrained_weights_are_told_first_and_not_asked_about_again(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    short = ADVICE | {"want": 20, "changes": [], "coarsest": "first", "notes": ["said", f"{LOOK_UNTRAINED}: all."]}
    service.on("POST /advice", Reply(202, advice_json(result=short)))
    done = run("advise", "spec.json", "--want", "20", "--url", service.url)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == (f"note: {LOOK_UNTRAINED}: all.", "note: said")
    assert f"--layer first --want 20 --weights random --url {service.url}" in done.stdout


def test_a_change_names_torch_s_modules() -> None:
    edits = [{"layer": "conv_1", "field": "dilations", "before": "1", "after": "2"}]
    text = "dilate 3 layers (conv … conv_1): times 2"
    modules = {"conv": "a.0", "conv_1": "a.2", "times": "b", "layers": "c"}
    assert with_modules(Change.model_validate(CHANGE | {"edits": edits, "text": text}), modules) == (
        "dilate 3 layers (conv [a.0] … conv_1 [a.2]): times 2"
    )
    behind = CHANGE | {
        "edits": [edits[0] | {"layer": "large_kernel", "after": "behind conv"}],
        "text": "add behind conv",
    }
    assert with_modules(Change.model_validate(behind), modules) == "add behind conv [a.0]"
    assert with_modules(Change.model_validate(behind), {}) == "add behind conv"


def test_the_command_takes_several_objects(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    answers = [advice_json(result=ADVICE | {"object_size": size}) for size in (6, 20)]
    service.on("POST /advice", *(Reply(202, answer) for answer in answers), *(Reply(202, answer) for answer in answers))
    done = run("advise", "spec.json", "--object", "6,20", "--url", service.url, "-o", "advice.csv", "-o", "advice.md")
    assert done.returncode == 0, done.stderr
    assert [json.loads(seen.body)["object_size"] for seen in service.seen] == [6, 20]
    assert "— Objects of 20 px —" in done.stdout
    rows = list(csv.DictReader((tmp_path / "advice.csv").read_text().splitlines()))
    changes = len(ADVICE["changes"])
    assert [row["object_size"] for row in rows] == ["6.0"] * (1 + changes) + ["20.0"] * (1 + changes)
    assert (rows[0]["change"], rows[0]["added_macs"], rows[1]["change"]) == ("", "0", ADVICE["changes"][0]["text"])
    text = (tmp_path / "advice.md").read_text()
    assert text.count("| as it is |") == 2
    assert "— Objects of 20 px —" in text
    as_json = run("advise", "spec.json", "--object", "6,20", "--url", service.url, "--json")
    assert [one["object_size"] for one in json.loads(as_json.stdout)] == [6, 20]
    refused = run("advise", "spec.json", "--object", "6,20", "--picture", "a.png", "--url", service.url)
    assert (refused.returncode, "give one size" in refused.stderr) == (2, True)


def test_an_interrupted_command_prints_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for Ctrl-C, which no test can time: the whole answer with its note, and the exit code of an interruption."""
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))

    def interrupted(*_: Any, **__: Any) -> None:
        raise Interrupted(Advice.model_validate(ADVICE | {"notes": ["interrupted: 1 of 5 changes measured."]}))

    monkeypatch.setattr("erfscope.cli.advise.answered", interrupted)
    with pytest.raises(typer.Exit) as ended:
        advise(str(tmp_path / "spec.json"), want="9")
    assert ended.value.exit_code == 130
    told = capsys.readouterr().out
    assert "dilate first: 1 → 4" in told
    assert "note: interrupted: 1 of 5 changes measured." in told


def test_what_an_interruption_kept_from_being_measured_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    unmeasured = {key: value for key, value in CHANGE.items() if key not in ("erf_measured", "stderr")}

    def interrupted(*_: Any, **__: Any) -> None:
        raise Interrupted(Advice.model_validate(ADVICE | {"changes": [unmeasured], "layers": []}))

    monkeypatch.setattr("erfscope.cli.advise.answered", interrupted)
    with pytest.raises(typer.Exit):
        advise(str(tmp_path / "spec.json"), want="9")
    told = " ".join(capsys.readouterr().out.split())
    assert "(ERF expected)" in told
    assert "First choice by its expected size, for it was not measured: dilate first: 1 → 4." in told
    assert "add (nearly) nothing" not in told


def test_the_rest_is_estimated_after_the_first_tries(capsys: pytest.CaptureFixture[str]) -> None:
    """A measurement of 10 s and tries of 1 s: 5 changes and 56 analyses follow."""
    stages = {"load": 0.0, "trace": 1.0, "measure": 6.0, "search": 16.0, "search 3 tried": 19.0, "search 4 tried": 20.0}
    seconds = iter([*stages.values(), 21.0])
    announced = Announced(5, clock=lambda: next(seconds))
    for stage in [*stages, "verify 1 of 5"]:
        announced(stage)
    told = capsys.readouterr().err
    assert told.startswith("Steps: measure the network, search changes by their expected sizes, measure the best 5, ")
    assert told.count("The rest takes about") == 1
    assert "about 106 s." in told


def test_of_a_service_s_work_not_every_stage_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    """The search is first heard of after 6 tries, then after 12 in 6 s: 48 are left, and a measurement took 10 s."""
    stages = {"queued": 0.0, "measure": 5.0, "search 6 tried": 15.0, "search 12 tried": 21.0}
    seconds = iter([*stages.values()])
    announced = Announced(5, clock=lambda: next(seconds), is_remote=True)
    for stage in stages:
        announced(stage)
    told = capsys.readouterr().err
    assert "Ctrl-C ends the waiting: the service goes on, and the same command finds its answer." in told
    assert "The rest takes about 98 s." in told


def test_sentences_of_sound_are_in_seconds(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    slower = CHANGE | {"kind": "input_scale", "text": "resample the signal to 1/5 of its rate", "input_parts": 5}
    slower |= {"trf_size": [25], "layer_shape": [2, 7], "erf_measured": 24.5}
    sound = ADVICE | {
        "want": 24, "object_size": 16, "changes": [slower], "coarsest": "first", "trf_size": [5],
        "input_shape": [1, 32], "layer_shape": [2, 32],
    }  # fmt: skip
    service.on("POST /advice", Reply(202, advice_json(result=sound)))
    done = run("advise", "spec.json", "--object", "2s", "--rate", "8", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "Asked for: objects of 2 s, so an ERF of 3 s; the ERF is 31% of the object." in told
    assert "First choice: resample the signal to 1/5 of its rate. The objects have 3.2 samples there, " in told
    assert "erfscope fit spec.json --layer second --object 2s --rate 1.6 --url" in told
    assert "erfscope advise spec.json --layer first --object 2s --rate 8 --url" in told


def test_the_command_finds_advice_here(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run("advise", "spec.json", "--want", "8", "--verify", "1", "--samples", "4", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["trf_size"] == [5, 5]
    assert found["changes"][0]["erf_analytic"] >= 8
    assert found["changes"][0]["architecture"]["name"] == "tiny"
    wrong = run("advise", "spec.json", "--want", "0")
    assert wrong.returncode == 2
    assert "/want" in wrong.stderr


def test_panels_name_the_change_with_its_sizes_and_outline_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a smaller input the middle of the map is shown, as large as the network's input."""
    sheets: list[Any] = []
    monkeypatch.setattr("erfscope_picture.sheet.render_sheet", lambda title, panels, **_: sheets.append(panels) or b"")
    cells = {"cells": [[0] * 32 for _ in range(32)], "pixels": [1, 1]}
    text = "dilate 2 layers (a … b): 1 → 4; add a residual depthwise kernel of 7 behind c (8×8 units)"
    changes = [
        CHANGE | {"text": text, "picture": cells},
        SMALLER | {"text": "feed the image at 1/3 of its size", "picture": cells | {"pixels": [3, 3]}},
    ]
    answer = Advice.model_validate(ADVICE | {"object_size": 9, "want": 13.5, "changes": changes, "picture": cells})
    render(answer, "tiny", Lengths((0.5, 0.5), "m"))
    (panels,) = sheets
    assert [(panel.caption, panel.note) for panel in panels] == [
        ("as it is", "ERF 2.450 ± 0.050 m, TRF 2.5x2.5 m"),
        ("1. dilate 2 layers: 1 to 4; add a residual depthwise kernel of 7", "ERF 4.71 ± 0.10 m, TRF 5.5x5.5 m"),
        ("2. feed the image at 1/3 of its size", "ERF 7.35 ± 0.15 m, TRF 7.5x7.5 m"),
    ]
    assert {panel.map.shape for panel in panels} == {(32, 32)}
    assert panels[0].sizes == [("object of 4.5 m", 9), ("wanted ERF of 6.75 m", 13.5)]
