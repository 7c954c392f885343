"""`erfscope advise`: which changes of a network let its units see what they must, and what each costs."""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import Exit, Option

from erfscope._errors import refuse
from erfscope._models import prepare
from erfscope._questions import ADVICE
from erfscope.cli import answer, options, values
from erfscope.cli.advice_tables import Asked, change_table, layer_table, summary, unfinished_verdict, verdict
from erfscope.cli.asking import answered, modules_of, next_weights
from erfscope.report.answers import advice_csv
from erfscope_contract.about import in_words
from erfscope_contract.advice import Advice, Interrupted
from erfscope_contract.duration import lasting
from erfscope_contract.holding import HOLD
from erfscope_contract.lengths import Lengths, pixels_of
from erfscope_contract.numbers import digits

LONG = 20.0  # seconds
PLAN = "Steps: {steps}. "
STOPPED = "Ctrl-C shows what is known by then."
LEFT = "Ctrl-C ends the waiting: the service goes on, and the same command finds its answer."
ESTIMATE = "The rest takes about {left}."
STEPS = ("trace", "measure", "search", "verify", "profile")  # stages of the work; others are of the queue or the model
TRIED = re.compile(r"search (\d+) tried")
TRIES = 4  # after so many the time of one is known: the first analysis of all is slower, for torch warms up
ANALYSES = 60  # of the search and of what each layer adds together, about
ObjectSizes = Annotated[
    str | None,
    Option(
        "--object",
        metavar="N,N,…",
        help=f"Sizes in input pixels of the objects that a unit must see, each with an ERF {HOLD:g} times as large, "
        "such as 32,96: one advice for each; 20ms is a time (with --rate), 12mm a length (with --spacing) (default: "
        "none).",
    ),
]
Want = Annotated[
    str | None,
    Option(
        metavar="N", help="Wanted ERF size, instead of --object: pixels, or with a unit as --object (default: none)."
    ),
]
Verify = Annotated[int | None, Option(help="How many of the best changes are measured by gradient (default 5).")]
Samples = Annotated[
    int | None,
    Option(
        "--inputs",
        min=2,
        max=1000,
        help="Samples of each measurement: draws of the weights where a scheme draws them (a spec, --weights), "
        "else inputs (default 8).",
    ),
]
Latency = Annotated[
    bool, Option("--latency", help="Time one input through each network on this machine, in ms (default: off).")
]
Depth = Annotated[
    bool, Option("--layers", help="Also list what each layer adds to the ERF, by expected sizes (default: off).")
]
Drawing = Annotated[
    Path | None,
    Option(
        "--picture", metavar="FILE", help="Draw the maps of the network and of the best three, PNG (default: none)."
    ),
]


def advise(
    model: options.Model,
    objects: ObjectSizes = None,
    want: Want = None,
    layer: options.Layer = None,
    output: answer.Outputs = None,
    as_json: options.AsJson = False,
    depth: Depth = False,
    picture: Drawing = None,
    latency: Latency = False,
    verify: Verify = None,
    inputs: Samples = None,
    samples: options.FormerSamples = None,
    weights: options.WeightScheme = None,
    seed: options.Seed = None,
    shape: options.Shape = None,
    input_name: options.InputName = None,
    images: options.Images = None,
    mean: options.Mean = None,
    std: options.Std = None,
    rate: options.Rate = None,
    spacing: options.Spacing = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Say which changes let MODEL's units see objects of --object pixels, what each costs, and what it keeps.

    Every row of the table is measured. The best come first, and the first that reaches the size is the first choice;
    * marks each that no other row beats.
    """
    answer.check(output)
    if (objects is None) == (want is None):
        given = "" if objects is None else ", not both"
        raise refuse("bad-request", f"say how large: --object N (objects of N pixels) or --want N (an ERF of N){given}")
    prepared = prepare(model)
    sizes = [None] if objects is None else values.sizes(objects, rate, spacing)
    if picture is not None and len(sizes) > 1:
        raise refuse("bad-request", "--picture draws one advice; give one size with --object")
    fields: dict[str, Any] = {
        "want": None if want is None else values.size(want.strip(), "--want", rate, spacing),
        "layer": layer, "verify": verify, "samples": inputs if inputs is not None else samples,
        "latency": latency or None,
        "weights": weights, "seed": seed, "input": values.input_fields(shape, input_name, mean, std),
    }  # fmt: skip
    answers, stopped, unfinished = list[Advice](), False, None
    announced = Announced(5 if verify is None else verify, len(sizes), is_remote=bool(url))
    try:
        for size in sizes:
            asked_for = {**fields, "object_size": size}
            answers.append(answered(ADVICE, prepared, asked_for, url, api_key, images, heard=announced))
    except Interrupted as interrupted:
        unfinished, stopped = interrupted.answer, True
        answers.append(unfinished)
    except KeyboardInterrupt:
        if not answers:
            raise
        stopped = True
    asked_with = {
        "--weights": next_weights(weights, answers[0].notes), "--inputs": inputs, "--samples": samples,
        "--verify": verify, "--seed": seed, "--shape": shape, "--input-name": input_name, "--images": images,
        "--mean": mean, "--std": std, "--rate": rate, "--spacing": spacing, "--url": url,
    }  # fmt: skip
    lengths = values.lengths(rate, spacing, len(answers[0].trf_size))
    if picture is not None:
        own = pixels_of(len(answers[0].trf_size))
        picture.write_bytes(_drawn(answers[0], prepared.name, lengths or own))
    asked = Asked(model, prepared.name, asked_with, modules_of(prepared), lengths)
    parts = [
        part
        for number, one in enumerate(answers)
        for part in _parts(one, asked, depth=depth, first=number == 0, unfinished=one is unfinished)
    ]
    drawn = [] if picture is None else [picture]
    texts = answer.Texts(f"Advice for {prepared.name}", parts, _json(answers), advice_csv(answers))
    answer.give(texts, output, as_json=as_json, wrote=drawn)
    if stopped:
        raise Exit(130)


class Announced:
    """Tells on stderr what will be done, and after the first tries of the search how long the rest takes.

    At a terminal the steps are told at once; elsewhere with the estimate, and nothing of what is short. Of a service's
    work not every stage is heard.
    """

    def __init__(
        self, count: int, sizes: int = 1, clock: Callable[[], float] = time.monotonic, *, is_remote: bool = False
    ) -> None:
        measured = ("measure the network", f"measure the best {count}") if count else ("", "")
        steps = (measured[0], "search changes by their expected sizes", measured[1], "list what each layer adds")
        self.plan = PLAN.format(steps=", ".join(step for step in steps if step)) + (LEFT if is_remote else STOPPED)
        self.count, self.sizes, self.clock = count, sizes, clock
        self.began = dict[str, float]()  # when each stage did
        self.tried = 0  # as heard when the search began
        self.is_planned = self.is_estimated = False

    def __call__(self, stage: str) -> None:
        """Hear each stage."""
        name, now = stage.partition(" ")[0], self.clock()
        if name not in STEPS or self.is_estimated:
            return
        matched = TRIED.fullmatch(stage)
        tried = int(matched[1]) if matched else 0
        if name == "search" and name not in self.began:
            self.tried = tried
        self.began.setdefault(name, now)
        if sys.stderr.isatty():
            self._tell_plan()
        if name == "verify" or tried - self.tried >= TRIES:
            self.is_estimated = True
            left = self._left(0 if name == "verify" else tried, now)
            if left >= LONG:
                self._tell_plan()
                print(ESTIMATE.format(left=lasting(left)), file=sys.stderr, flush=True)

    def _left(self, tried: int, now: float) -> float:
        """Seconds, by what has been heard; `tried` is 0 where the search has ended."""
        search = self.began.get("search", now)
        analyses = (ANALYSES - tried) * (now - search) / (tried - self.tried) if tried else 0.0
        left = max(analyses, 0.0) + self.count * (search - self.began.get("measure", search))
        return left + (self.sizes - 1) * (now - min(self.began.values()) + left)

    def _tell_plan(self) -> None:
        if not self.is_planned:
            self.is_planned = True
            print(self.plan, file=sys.stderr, flush=True)


def _json(answers: Sequence[Advice]) -> str:
    """One advice as an object, several as a list."""
    if len(answers) == 1:
        return answers[0].model_dump_json(indent=2)
    return json.dumps([json.loads(advice.model_dump_json()) for advice in answers], indent=2, ensure_ascii=False)


def _parts(advice: Advice, asked: Asked, *, depth: bool, first: bool, unfinished: bool) -> list[answer.Part]:
    """What is said of one object size; the layers, which are the same for all, stand before the first alone."""
    lengths = asked.unit_of(advice)
    title = [] if first else [[f"— Objects of {digits((advice.object_size or 0.0) * lengths.mean)} {lengths.unit} —"]]
    layers = [layer_table(advice.layers)] if depth and first and advice.layers else []
    changes = [change_table(advice, asked.modules, lengths)] if advice.changes else []
    shape = "×".join(map(str, advice.input_shape))
    said = in_words(advice.about, asked.name, shape) if first else []
    parts: list[answer.Part] = [
        *title,
        *layers,
        [*said, *summary(advice, lengths)],
        *changes,
        unfinished_verdict(advice, asked) if unfinished else verdict(advice, asked),
    ]
    return answer.with_notes(parts, advice.notes)


def _drawn(advice: Advice, name: str, lengths: Lengths) -> bytes:
    from erfscope.cli.advice_picture import render  # loads the drawing package

    return render(advice, name, lengths)
