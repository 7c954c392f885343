"""Advice, start to end: measure the network, search changes that reach what is wanted, measure and rank the best."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from erfscope_contract.about import About, name_of
from erfscope_contract.advice import Advice, AdviceLayer, AdviceRequest, Change, Interrupted
from erfscope_contract.holding import CONFIDENT, UNITS_ACROSS
from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult
from erfscope_contract.version import __version__
from erfscope_engine.advice.profile import profile_of
from erfscope_engine.advice.rank import HOLES, ranked, with_pareto
from erfscope_engine.advice.search import Trial, search
from erfscope_engine.measure import measure_network
from erfscope_engine.network import Network
from erfscope_engine.plan import Plan, plan_for
from erfscope_intake.advice.bench import Bench, Expected, Sized, State
from erfscope_intake.advice.notes import Widths, notes_of
from erfscope_intake.advice.onnx_subject import OnnxSubject
from erfscope_intake.advice.scaled import Unscaled
from erfscope_intake.advice.spec_subject import SpecSubject
from erfscope_intake.advice.subject import Changed, Subject
from erfscope_intake.levels import coarsest_before
from erfscope_intake.memory import memory_errors_explained
from erfscope_intake.onnx_external import Sent
from erfscope_intake.progress import Progress, within

DRAWN = 3  # changes whose maps are part of the answer
CANDIDATES = (
    "{tried} changes were tried by their expected size. Of each family the first that reaches the wanted size, or the "
    "one that comes nearest, is a candidate: {candidates}, of which the best {measured} were measured"
)
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
    done): load, trace, measure, `search 17 tried`, `verify 2 of 5`, profile. Raises ProblemError: unsupported-feature
    where the analytic method cannot treat the network, and what a measurement raises; Interrupted for a
    KeyboardInterrupt behind the stage trace, with what is known by then.
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


@dataclass
class _Known:
    """What is known of the answer so far: the network as it is, then the rest as it comes."""

    base: ErfResult  # by the analytic method
    now: State
    coarsest: str | None
    head: str | None
    measured: Sized | None = None
    ms: float | None = None
    tried: int = 0
    priced: dict[str, Pair] = field(default_factory=dict)  # by what is changed
    count: int = 0  # of the changes that are to be measured, 0 before the search has ended
    verified: list[Change] = field(default_factory=list)
    has_changes: bool = False  # whether all changes are known that the answer lists
    layers: list[AdviceLayer] = field(default_factory=list)

    @property
    def size(self) -> float:
        """The expected ERF size."""
        return self.base.erf.size or 0.0

    @property
    def erf(self) -> float:
        """The ERF size: as measured, or expected."""
        return self.size if self.measured is None or self.measured.size is None else self.measured.size

    @property
    def half(self) -> float | None:
        """The side of the box with half of the mass: as measured, or expected."""
        return self.measured.half if self.measured else self.base.mass["0.50"].side


def _advice(bench: Bench, progress: Progress) -> Advice:
    progress("trace", 0.0)
    quick = bench.subject.network(None, quick=True, place=bench.device)
    base = measure_network(quick, bench.analytic).result
    plan = plan_for(quick, bench.request.layer, samples=1)
    coarsest, head = coarsest_before(plan), _head_behind(quick, plan)
    bench = _by_tensor(bench, base.layer.name)
    known = _Known(base, bench.state(None), coarsest, head)
    try:
        _learn(bench, known, progress)
    except KeyboardInterrupt:
        raise Interrupted(_answer(bench, known, interrupted=True)) from None
    return _answer(bench, known)


def _head_behind(network: Network, plan: Plan) -> str | None:
    """The layer that `auto` takes, where it lies behind the plan's; None where the plan's is that, or a later one."""
    head = plan_for(network, "auto", samples=1).layer
    return head.name if head.value > plan.layer.value else None


def _learn(bench: Bench, known: _Known, progress: Progress) -> None:
    """Measure the network itself, then its changes; what each layer adds comes last, for nothing needs it."""
    request, want = bench.request, bench.request.wanted_size
    if request.verify:
        known.measured = bench.sized(None, lambda _, share: progress("measure", share))
    if request.latency:
        known.ms = bench.milliseconds(None)
    if known.erf < want:  # also where it is unsure, within two standard errors
        goal = want
        if known.measured is not None and known.measured.size:
            goal *= max(known.size / known.measured.size, 1.0)  # by how much expected sizes are too large here
        _search(bench, known, goal, progress)
        _verify(bench, known, progress)
    known.has_changes = True
    known.layers = _profile(bench, progress)


def _answer(bench: Bench, known: _Known, *, interrupted: bool = False) -> Advice:
    request, base, now, measured = bench.request, known.base, known.now, known.measured
    changes = _changes(known, request, interrupted=interrupted)
    lattice = measured.lattice if measured else base.shape.lattice
    return Advice(
        layer=base.layer.name,
        want=request.wanted_size,
        object_size=request.object_size,
        input_shape=base.input_shape,
        layer_shape=now.layer.own_shape,
        trf_size=base.trf.size,
        erf_analytic=known.size,
        erf_measured=measured.size if measured else None,
        stderr=measured.stderr if measured else None,
        mass_50_side=known.half,
        lattice=lattice,
        reaches=_reaches(known.size, measured, request.wanted_size),
        macs=now.cost.macs,
        parameters=now.cost.parameters,
        memory=now.cost.memory,
        ms=known.ms,
        picture=measured.picture if measured else None,
        layers=known.layers,
        changes=changes,
        tried=known.tried,
        about=_about(bench),
        coarsest=known.coarsest,
        head=known.head,
        notes=[
            *([_interruption(known, request, changes)] if interrupted else []),
            *([] if interrupted else _left_out(known, request.verify)),
            *bench.subject.notes,
            *notes_of(
                request, base, Widths(known.erf, known.half, lattice), changes, 0 if interrupted else known.tried
            ),
        ],
        engine=__version__,
        torch=torch.__version__,
    )


def _interruption(known: _Known, request: AdviceRequest, changes: Sequence[Change]) -> str:
    """What is missing from the answer."""
    if known.has_changes:
        return "interrupted: only what each layer adds is missing."
    if not request.verify:
        return f"interrupted: {known.tried} changes were looked at by then."
    if known.measured is None:
        return "interrupted before the network was measured: its ERF is the expected one."
    done = f"interrupted: {len(known.verified)} of {known.count or request.verify} changes measured"
    return f"{done}; sizes of the others are expected ones." if any(map(_is_expected, changes)) else f"{done}."


def _left_out(known: _Known, verify: int) -> list[str]:
    """Why the table has fewer changes than were tried, or than were to be measured."""
    holes = sum((one.lattice or 0.0) > HOLES for one in known.verified)
    worse = sum(not _is_nearer(one, known) and (one.lattice or 0.0) <= HOLES for one in known.verified)
    reasons = [(worse, "no larger ERF than the network as it is"), (holes, f"holes (gridding above {HOLES:g})")]
    left = ", ".join(f"{count} with {why}" for count, why in reasons if count)
    measured = len(known.verified)
    if not left and not 0 < measured < verify:
        return []
    told = CANDIDATES.format(tried=known.tried, candidates=len(known.priced), measured=measured)
    return [f"{told}{'; left out: ' if left else ''}{left}."]


def _is_nearer(change: Change, known: _Known) -> bool:
    """Whether a measured change reaches, or comes nearer than the network as it is."""
    return change.reaches or change.size > ((known.measured.size if known.measured else None) or 0.0)


def _is_expected(change: Change) -> bool:
    return change.erf_measured is None


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


def _profile(bench: Bench, progress: Progress) -> list[AdviceLayer]:
    """The expected sizes of every layer."""
    quick = bench.subject.network(None, quick=True, place=bench.device)
    profile = measure_network(
        quick,
        bench.analytic.model_copy(update={"layers": "all"}),
        progress=lambda stage, share: progress("profile", share),
    )
    plan = plan_for(quick, bench.request.layer, samples=1)
    maps = profile.layers_map
    return profile_of(plan.traced, profile.result.layers, () if maps is None else maps)


def _search(bench: Bench, known: _Known, goal: float, progress: Progress) -> None:
    """Price the smallest change of each family whose expected size reaches the goal, or the nearest one."""
    looked = dict[str, Expected]()

    def trial(change: Changed) -> Trial[Changed] | None:
        known.tried += 1
        expected = bench.expected(change)
        if expected is None or (expected.lattice or 0.0) > HOLES:
            return None
        looked[change.title] = expected
        return Trial(change, expected.size)

    def heard(share: float) -> None:
        progress(f"search {known.tried} tried" if known.tried else "search", share)

    families = bench.subject.families(known.base.layer.name, causal=known.base.trf.causal)
    for found in search(families, goal, known.size, trial, heard):
        changed = found.change
        known.priced[changed.title] = _priced(bench, changed, looked[changed.title], goal, known.now)


def _verify(bench: Bench, known: _Known, progress: Progress) -> None:
    """Measure the best changes."""
    priced = [change for _, change in known.priced.values()]
    best_first = _ranked(known, bench.request, priced)[: bench.request.verify]
    known.count = len(best_first)
    for number, change in enumerate(best_first):
        heard = within(progress, "verify", number, known.count)
        known.verified.append(_measured(bench, *known.priced[change.text], heard))


def _changes(known: _Known, request: AdviceRequest, *, interrupted: bool) -> list[Change]:
    """The best changes first; those that were measured and do no better than none are left out.

    Those that an interruption kept from being measured come last.
    """
    priced = [change for _, change in known.priced.values()]
    expected = [change for change in _ranked(known, request, priced) if change.erf_analytic is not None]
    if not request.verify:
        return with_pareto(_ranked(known, request, [*expected, *_scaled(known, request, expected)]))
    nearer = [one for one in known.verified if _is_nearer(one, known)]
    best = with_pareto(_ranked(known, request, [*nearer, *_scaled(known, request, nearer)]))
    drawn = [one if n < DRAWN else one.model_copy(update={"picture": None}) for n, one in enumerate(best)]
    if not interrupted or known.has_changes:
        return drawn
    done = {change.text for change in known.verified}
    left = [change for change in expected if change.text not in done]
    return [*drawn, *left[: request.verify - len(done)]]


def _scaled(known: _Known, request: AdviceRequest, changes: Sequence[Change]) -> list[Change]:
    """What a smaller input does, as it is or with one of these changes; nothing where the search did not end."""
    if known.erf >= request.wanted_size or not known.has_changes:
        return []
    base, measured = known.base, known.measured
    as_it_is = Change(
        kind="input_scale",
        text="",
        edits=[],
        erf_analytic=known.size,
        erf_measured=measured.size if measured else None,
        stderr=measured.stderr if measured else None,
        mass_50_side=known.half,
        trf_size=base.trf.size,
        lattice=measured.lattice if measured else base.shape.lattice,
        reaches=False,
        layer_shape=known.now.layer.own_shape,
        added_macs=0,
        added_parameters=0,
        weights_kept=1.0,
        picture=measured.picture if measured else None,
    )
    finest = UNITS_ACROSS * max((step or 0.0 for step in base.trf.stride), default=0.0)
    return Unscaled(as_it_is, known.now.cost, finest, request.object_size, request.wanted_size).scaled(changes)


def _ranked(known: _Known, request: AdviceRequest, changes: Sequence[Change]) -> list[Change]:
    return ranked(changes, request.wanted_size, known.now.cost, known.now.layer.own_shape[1:])


def _priced(bench: Bench, changed: Changed, expected: Expected, goal: float, now: State) -> Pair:
    """With what it costs."""
    after = bench.state(changed)
    return changed, Change(
        kind=changed.kind,
        text=changed.title,
        edits=list(changed.edits),
        erf_analytic=expected.size,
        mass_50_side=expected.half,
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
            "mass_50_side": sized.half,
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
