"""Advice, start to end: profile the network, search the smallest changes that reach what is wanted, verify the best."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from erfscope_contract.advice import Advice, AdviceRequest, Change
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import AverageOptions, ErfRequest, TargetOptions, Weights
from erfscope_contract.result import ErfResult
from erfscope_contract.version import __version__
from erfscope_engine.advice.profile import Cost, cost_of, profile_of
from erfscope_engine.advice.search import Trial, one_of_each, search
from erfscope_engine.by_expectation import expected_size
from erfscope_engine.layers import Layer
from erfscope_engine.measure import measure_network
from erfscope_engine.plan import plan_for
from erfscope_intake.advice.subjects import Changed, OnnxSubject, SpecSubject, Subject
from erfscope_intake.memory import memory_errors_explained
from erfscope_intake.onnx_external import Sent

Progress = Callable[[str, float], None]
MOST_OF_A_KIND = 3
GRIDDED = 0.1  # lattice score from which holes in the map are plain
CONFIDENT = 2.0  # standard errors within which a measured size counts as reaching
FAILED = "No change reaches the wanted size; those listed come nearest."
NONE_NEARER = "Of {tried} changes that were looked at, none comes nearer to the wanted size than the network as it is."
MARGIN = "The expected size is {share:.0%} above the measured one here; changes are chosen for {goal:.1f} expected."
CLIPPED = "The input is smaller than twice the wanted size: sizes near it are clipped."
WORDS = {
    "dilation": "dilate {layers}: {before} → {after}",
    "kernel_size": "widen the kernel of {layers}: {before} → {after}",
    "stride": "give {layers} stride {after} (was {before})",
    "depth": "repeat {layers}: {before} → {after} passes",
}


@dataclass(frozen=True)
class _Work:
    """The question, the network that it is about, where measurements run, and who listens."""

    request: AdviceRequest
    subject: Subject
    device: str
    progress: Progress

    @property
    def analytic(self) -> ErfRequest:
        """The expected size of the unit."""
        return ErfRequest(target=TargetOptions(layer=self.request.layer), method="analytic", weights=self._weights)

    @property
    def gradient(self) -> ErfRequest:
        """A measurement of it."""
        count = self.request.samples
        inputs, weights = (1, count) if self.subject.drawn else (count, 1)
        average = AverageOptions(inputs=inputs, weights=weights, seed=self.request.seed)
        return ErfRequest(target=TargetOptions(layer=self.request.layer), average=average, weights=self._weights)

    @property
    def _weights(self) -> Weights:
        return self.request.weights


@dataclass(frozen=True)
class _Size:
    """A measured size and its standard error."""

    size: float | None
    stderr: float | None


@dataclass(frozen=True)
class _State:
    """A network up to the layer: what it costs, and the layer."""

    cost: Cost
    layer: Layer


def advise(
    request: AdviceRequest,
    model: Path | None = None,
    progress: Progress = lambda stage, share: None,
    *,
    device: str = "cpu",
    data: Sent | None = None,
) -> Advice:
    """Answer an AdviceRequest; `model` is the ONNX file where the request names one by its sha256.

    `data` are the files that came with it, by name; without it, its folder is where the files lie that it names.
    `progress` hears (stage, share done): load, profile, search, verify. Raises ProblemError: unsupported-feature where
    the analytic method cannot treat the network, and what a measurement raises.
    """
    progress("load", 0.0)
    with memory_errors_explained():
        return _advice(_Work(request, _subject(request, model, data), device, progress))


def _subject(request: AdviceRequest, model: Path | None, data: Sent | None) -> Subject:
    if request.model.architecture is not None:
        return SpecSubject.of(request, request.model.architecture)
    if model is None:
        raise ProblemError("invalid-request", "The request names no model: give model.architecture or a file.")
    return OnnxSubject(request, model, data)


def _advice(work: _Work) -> Advice:
    work.progress("profile", 0.0)
    quick = work.subject.network(None, quick=True, place=work.device)
    profile = measure_network(quick, work.analytic.model_copy(update={"layers": "all"}))
    base, maps = profile.result, profile.layers_map
    traced = plan_for(quick, work.request.layer, samples=1).traced
    rows = profile_of(traced, base.layers, [] if maps is None else maps)
    now, want, size = _state(work, None), work.request.want, base.erf.size or 0.0
    measured = _measured(work, None) if work.request.verify else _Size(None, None)
    goal = want * max(size / measured.size, 1.0) if measured.size else want
    tried = list[Changed]()
    found = [] if _reaches(size, measured, want) else _searched(work, goal, size, tried)
    priced = _ranked(((trial.change, _change(work, trial, goal, now)) for trial in found), now)
    looked = _ranked(((changed, _looked_at(work, changed, change)) for changed, change in priced), now)
    changes = [one for one in _verified(work, looked) if _nearer(one, measured)]
    return Advice(
        layer=base.layer.name,
        want=want,
        input_shape=base.input_shape,
        layer_shape=now.layer.own_shape,
        trf_size=base.trf.size,
        erf_analytic=size,
        erf_measured=measured.size,
        stderr=measured.stderr,
        reaches=_reaches(size, measured, want),
        macs=now.cost.macs,
        parameters=now.cost.parameters,
        layers=rows,
        changes=changes,
        tried=len(tried),
        notes=[*work.subject.notes, *_notes(base, changes, want, goal, len(tried))],
        engine=__version__,
        torch=torch.__version__,
    )


def _nearer(change: Change, now: _Size) -> bool:
    """Whether a change that was measured does better than none."""
    return change.reaches or None in (change.erf_measured, now.size) or (change.erf_measured or 0) > (now.size or 0)


def _notes(base: ErfResult, changes: list[Change], want: float, goal: float, tried: int) -> list[str]:
    notes = list(base.provenance.notes)
    if changes and goal > want:
        notes.append(MARGIN.format(share=goal / want - 1, goal=goal))
    if changes and not any(change.reaches for change in changes):
        notes.append(FAILED)
    if tried and not changes:
        notes.append(NONE_NEARER.format(tried=tried))
    if min(base.input_shape[1:]) < 2 * want:
        notes.append(CLIPPED)
    return notes


def _ranked(pairs: Iterable[tuple[Changed, Change]], now: _State) -> list[tuple[Changed, Change]]:
    """Cheapest first, no more than some of each kind."""
    kept: list[tuple[Changed, Change]] = []
    for pair in sorted(pairs, key=lambda pair: _order(pair[1], now)):
        if sum(one.kind == pair[1].kind for _, one in kept) < MOST_OF_A_KIND:
            kept.append(pair)
    return kept


def _searched(work: _Work, goal: float, now: float, tried: list[Changed]) -> list[Trial[Changed]]:
    """The smallest change of each family whose expected size reaches the goal, or the nearest ones.

    The goal is the wanted size, raised by what the expected size of the unchanged network, `now`, is too large.
    """
    return search(
        work.subject.families(),
        goal,
        now,
        lambda change: _expected(work, change, tried),
        max(work.request.verify, MOST_OF_A_KIND),
        partial(work.progress, "search"),
    )


def _expected(work: _Work, change: Changed, tried: list[Changed]) -> float | None:
    """The expected size of a changed network; None where the change is not valid."""
    tried.append(change)
    try:
        return expected_size(work.subject.network(change, quick=True, place=work.device), work.analytic)[0]
    except ProblemError as problem:
        if problem.kind in ("resource-limit", "unsupported-feature"):
            raise
        return None


def _state(work: _Work, change: Changed | None) -> _State:
    """Cost and layer at full width."""
    network = work.subject.network(change, place=work.device)
    plan = plan_for(network, work.request.layer, samples=1)
    return _State(cost_of(plan.traced, plan.layer), plan.layer)


def _looked_at(work: _Work, changed: Changed, change: Change) -> Change:
    """With the whole expected map's TRF and gridding."""
    network = work.subject.network(changed, quick=True, place=work.device)
    expected = measure_network(network, work.analytic).result
    return change.model_copy(update={"trf_size": expected.trf.size, "lattice": expected.shape.lattice})


def _change(work: _Work, trial: Trial[Changed], goal: float, now: _State) -> Change:
    after = _state(work, trial.change)
    return Change(
        kind=trial.change.kind,
        text=_text(trial.change),
        edits=list(trial.change.edits),
        erf_analytic=trial.size,
        trf_size=[],
        reaches=trial.size >= goal,
        layer_shape=after.layer.own_shape,
        added_macs=after.cost.macs - now.cost.macs,
        added_parameters=after.cost.parameters - now.cost.parameters,
        architecture=trial.change.architecture,
    )


def _text(change: Changed) -> str:
    names = [edit.layer for edit in change.edits]
    layers = names[0] if len(names) == 1 else f"{len(names)} layers ({names[0]} … {names[-1]})"
    pairs = [(edit.before, edit.after) for edit in change.edits]
    before, after = (" ".join(dict.fromkeys(values)) for values in zip(*pairs, strict=True))
    return WORDS[change.kind].format(layers=layers, before=before, after=after)


def _order(change: Change, now: _State) -> tuple[object, ...]:
    """Cheapest first: what keeps the layer's grid, then arithmetic, weights, holes in the map, layers touched."""
    other_grid = change.layer_shape[1:] != now.layer.own_shape[1:]
    added = max(change.added_macs, 0), max(change.added_parameters, 0)
    return other_grid, *added, (change.lattice or 0.0) > GRIDDED, len(change.edits), change.erf_analytic


def _verified(work: _Work, ranked: list[tuple[Changed, Change]]) -> list[Change]:
    """The best changes (of each kind first) measured by gradient."""
    chosen = one_of_each(ranked, lambda pair: pair[1].kind, work.request.verify)
    found: list[Change] = []
    for changed, change in ranked:
        if not any(changed is one for one, _ in chosen):
            found.append(change)
            continue
        work.progress("verify", len(found) / len(ranked))
        size = _measured(work, changed)
        reaches = _reaches(change.erf_analytic, size, work.request.want)
        found.append(change.model_copy(update={"erf_measured": size.size, "stderr": size.stderr, "reaches": reaches}))
    return found


def _measured(work: _Work, change: Changed | None) -> _Size:
    result = measure_network(work.subject.network(change, place=work.device), work.gradient).result
    return _Size(result.erf.size, result.stderr.get("erf_size"))


def _reaches(analytic: float, measured: _Size, want: float) -> bool:
    """By measurement where there is one."""
    if measured.size is None:
        return analytic >= want
    return measured.size + CONFIDENT * (measured.stderr or 0.0) >= want
