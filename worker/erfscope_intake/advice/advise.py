"""Advice, start to end: profile the network, search changes that reach what is wanted, measure and rank the best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from erfscope_contract.about import About, name_of
from erfscope_contract.advice import Advice, AdviceLayer, AdviceRequest, Change, Interrupted
from erfscope_contract.holding import CONFIDENT
from erfscope_contract.problem import ProblemError
from erfscope_contract.version import __version__
from erfscope_engine.advice.profile import profile_of
from erfscope_engine.advice.rank import HOLES, ranked, with_pareto
from erfscope_engine.advice.search import Trial, search
from erfscope_engine.measure import measure_network
from erfscope_engine.measurement import Measurement
from erfscope_engine.plan import plan_for
from erfscope_intake.advice.bench import Bench, Expected, Sized, State
from erfscope_intake.advice.notes import notes_of
from erfscope_intake.advice.onnx_subject import OnnxSubject
from erfscope_intake.advice.spec_subject import SpecSubject
from erfscope_intake.advice.subject import Changed, Subject
from erfscope_intake.levels import coarsest_before
from erfscope_intake.memory import memory_errors_explained
from erfscope_intake.onnx_external import Sent
from erfscope_intake.progress import Progress, within

INTERRUPTED = "interrupted: {done} of {all} changes measured."
DRAWN = 3  # changes whose maps are part of the answer
Pair = tuple[Changed, Change]


def advise(
    request: AdviceRequest,
    model: Path | None = None,
    progress: Progress = lambda stage, share: None,
    *,
    device: str = "cpu",
    data: Sent | None = None,
    images: Path | None = None,
) -> Advice:
    """Answer an AdviceRequest; `model` is the ONNX file where the request names one by its sha256.

    `data` are the files that came with it, by name; without it, its folder is where the files lie that it names.
    `images` is the file that the samples of measurements come from, None for noise. `progress` hears (stage, share
    done): load, profile, measure, `search 17 tried`, `cost 3 of 9`, `verify 2 of 5`. Raises ProblemError:
    unsupported-feature where the analytic method cannot treat the network, and what a measurement raises; Interrupted
    for a KeyboardInterrupt once the network itself is measured.
    """
    progress("load", 0.0)
    with memory_errors_explained():
        return _advice(Bench(request, _subject(request, model, data), device, images), progress)


def _subject(request: AdviceRequest, model: Path | None, data: Sent | None) -> Subject:
    if request.model.architecture is not None:
        return SpecSubject.of(request, request.model.architecture)
    if model is None:
        raise ProblemError("invalid-request", "The request names no model: give model.architecture or a file.")
    return OnnxSubject.of(request, model, data)


def _advice(bench: Bench, progress: Progress) -> Advice:
    profile, layers, coarsest = _profile(bench, progress)
    base, size = profile.result, profile.result.erf.size or 0.0
    bench = _by_tensor(bench, base.layer.name)
    request, want = bench.request, bench.request.wanted_size
    now = bench.state(None)
    measured = bench.sized(None, lambda _, share: progress("measure", share)) if request.verify else None
    tried, verified, stopped = list[Changed](), _Verified([]), ""
    if not _reaches(size, measured, want):
        goal = want * max(size / measured.size, 1.0) if measured is not None and measured.size else want
        try:
            pairs = _searched(bench, goal, size, tried, progress, base.layer.name, causal=base.trf.causal)
            _verify(bench, pairs, goal, now, verified, progress)
        except KeyboardInterrupt:
            stopped = INTERRUPTED.format(done=len(verified.changes), all=verified.count or request.verify)
    changes = _best(verified, now, want, measured)
    answer = Advice(
        layer=base.layer.name,
        want=want,
        object_size=request.object_size,
        input_shape=base.input_shape,
        layer_shape=now.layer.own_shape,
        trf_size=base.trf.size,
        erf_analytic=size,
        erf_measured=measured.size if measured else None,
        stderr=measured.stderr if measured else None,
        lattice=measured.lattice if measured else base.shape.lattice,
        reaches=_reaches(size, measured, want),
        macs=now.cost.macs,
        parameters=now.cost.parameters,
        memory=now.cost.memory,
        ms=bench.milliseconds(None) if request.latency else None,
        picture=measured.picture if measured else None,
        layers=layers,
        changes=changes,
        tried=len(tried),
        about=_about(bench),
        coarsest=coarsest,
        notes=[
            *([stopped] if stopped else []),
            *bench.subject.notes,
            *notes_of(request, base, changes, 0 if stopped else len(tried)),
        ],
        engine=__version__,
        torch=torch.__version__,
    )
    if stopped:
        raise Interrupted(answer)
    return answer


def _by_tensor(bench: Bench, layer: str) -> Bench:
    """The layer of a file by its tensor: a change may give the node of that name another output."""
    request = bench.request
    if request.layer == "auto" or request.model.architecture is not None:
        return bench
    return replace(bench, request=request.model_copy(update={"layer": layer}))


def _about(bench: Bench) -> About:
    request, average = bench.request, bench.gradient.average
    return About(
        model=name_of(request.model),
        weights=request.weights,
        inputs=average.inputs if request.verify else None,
        draws=average.weights if request.verify else None,
        source=request.input.source,
        seed=request.seed,
    )


def _profile(bench: Bench, progress: Progress) -> tuple[Measurement, list[AdviceLayer], str | None]:
    """The expected sizes of every layer, and the last layer of the coarsest grid."""
    quick = bench.subject.network(None, quick=True, place=bench.device)
    profile = measure_network(
        quick,
        bench.analytic.model_copy(update={"layers": "all"}),
        progress=lambda stage, share: progress("profile", share),
    )
    plan = plan_for(quick, bench.request.layer, samples=1)
    maps = profile.layers_map
    rows = profile_of(plan.traced, profile.result.layers, () if maps is None else maps)
    return profile, rows, coarsest_before(plan)


def _searched(
    bench: Bench, goal: float, size: float, tried: list[Changed], progress: Progress, layer: str, *, causal: bool
) -> list[tuple[Changed, Expected]]:
    """The smallest change of each family whose expected size reaches the goal, or the nearest one.

    The goal is the wanted size, raised by what the expected size of the unchanged network is too large.
    """

    def trial(change: Changed) -> Trial[Changed] | None:
        tried.append(change)
        expected = bench.expected(change)
        if expected is None or (expected.lattice or 0.0) > HOLES:
            return None
        looked[len(looked)] = (change, expected)
        return Trial(change, expected.size)

    def heard(share: float) -> None:
        progress(f"search {len(tried)} tried" if tried else "search", share)

    looked = dict[int, tuple[Changed, Expected]]()
    families = bench.subject.families(layer, causal=causal)
    trials = search(families, goal, size, trial, heard)
    chosen = [trial.change for trial in trials]
    return [pair for pair in looked.values() if any(pair[0] is change for change in chosen)]


@dataclass
class _Verified:
    """The changes that were measured, or priced where none is; `count` is how many are to be measured."""

    changes: list[Change]
    count: int = 0  # 0 before the search has ended


def _verify(
    bench: Bench,
    pairs: Sequence[tuple[Changed, Expected]],
    goal: float,
    now: State,
    into: _Verified,
    progress: Progress,
) -> None:
    """Price all changes, and measure the best of them, where the question asks for it."""
    grid, want = now.layer.own_shape[1:], bench.request.wanted_size
    priced = dict[str, Pair]()
    for number, pair in enumerate(pairs):
        progress(f"cost {number + 1} of {len(pairs)}", number / len(pairs))
        changed, change = _priced(bench, *pair, goal, now)
        priced[_key(change)] = (changed, change)
    order = ranked([change for _, change in priced.values()], want, now.cost, grid)
    if not bench.request.verify:
        into.changes += [change for change in order if change.erf_analytic is not None]
        return
    best_first = order[: bench.request.verify]
    into.count = len(best_first)
    for number, change in enumerate(best_first):
        into.changes.append(
            _measured(bench, *priced[_key(change)], within(progress, "verify", number, len(best_first)))
        )


def _best(verified: _Verified, now: State, want: float, measured: Sized | None) -> list[Change]:
    """The best changes first; those that were measured and do no better than none are left out."""
    if measured is None:
        return with_pareto(verified.changes)
    nearer = [one for one in verified.changes if one.reaches or one.size > (measured.size or 0.0)]
    best = with_pareto(ranked(nearer, want, now.cost, now.layer.own_shape[1:]))
    return [one if n < DRAWN else one.model_copy(update={"picture": None}) for n, one in enumerate(best)]


def _key(change: Change) -> str:
    return change.text


def _priced(bench: Bench, changed: Changed, expected: Expected, goal: float, now: State) -> Pair:
    """With what it costs."""
    after = bench.state(changed)
    return changed, Change(
        kind=changed.kind,
        text=changed.title,
        edits=list(changed.edits),
        erf_analytic=expected.size,
        trf_size=expected.trf_size,
        lattice=expected.lattice,
        reaches=expected.size is None or expected.size >= goal,
        layer_shape=after.layer.own_shape,
        added_macs=after.cost.macs - now.cost.macs,
        added_parameters=after.cost.parameters - now.cost.parameters,
        added_memory=after.cost.memory - now.cost.memory,
        weights_kept=round(changed.kept, 4),
        train_anew=list(changed.new),
        architecture=changed.architecture,
    )


def _measured(bench: Bench, changed: Changed, change: Change, progress: Progress) -> Change:
    """With its size by gradient, and its latency where that is asked for."""
    sized, want = bench.sized(changed, progress), bench.request.wanted_size
    reaches = _reaches(change.erf_analytic or 0.0, sized, want)
    return change.model_copy(
        update={
            "erf_measured": sized.size,
            "stderr": sized.stderr,
            "lattice": max((one for one in (sized.lattice, change.lattice) if one is not None), default=None),
            "trf_size": sized.trf_size,
            "picture": sized.picture,
            "reaches": reaches,
            "unsure": reaches and sized.size is not None and sized.size < want,
            "added_ms": bench.milliseconds(changed) - bench.milliseconds(None) if bench.request.latency else None,
        }
    )


def _reaches(analytic: float, sized: Sized | None, want: float) -> bool:
    """By measurement where there is one."""
    if sized is None or sized.size is None:
        return analytic >= want
    return sized.size + CONFIDENT * (sized.stderr or 0.0) >= want
