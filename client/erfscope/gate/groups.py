"""What did not pass, by cause: the broken rules of a model in one check are one group with one remedy. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from erfscope.gate.findings import WORST, Finding, Report, Rule
from erfscope.gate.mends import MEANT

SIZE = re.compile(r"trf_size|mass_\d+_side|erf_size\w*")
EDGE = "erf_size"  # start of the sizes that end where the map is weak
CONTRARY = (
    "{} fell and {} rose. This is no contradiction: erf_size is the side of the area above 4.55 % of the centre, "
    "without the gaps that a dilation leaves, so a denser field can have a larger one although it reaches less far. "
    "trf_size and mass_50_side tell how far it reaches."
)
LEADING = ("trf_size", "mass_50_side", "erf_size")  # metrics that a headline tells, the first that there is
LONGEST = 100  # letters of a change in a headline
SHORT = {"trf_size": "TRF"}


@dataclass(frozen=True)
class Group:
    """Findings with one cause, the worst first, and whatever else was judged of the model in that check."""

    findings: tuple[Finding, ...]
    others: tuple[Finding, ...] = ()

    @property
    def first(self) -> Finding:
        """The worst of them."""
        return self.findings[0]

    @property
    def subject(self) -> str:
        """`erf_size and its drift, drift of trf_size, mass_50_side`."""
        bounds = _metrics(self.findings, Rule.BOUND)
        drifts = _metrics(self.findings, Rule.DRIFT)
        if not drifts or len(self.findings) == 1:
            return ", ".join(bounds) or self.first.subject
        words = [f"{name} and its drift" if name in drifts else name for name in bounds]
        alone = [name for name in drifts if name not in bounds]
        return ", ".join((*words, f"drift of {', '.join(alone)}") if alone else words)

    @property
    def about(self) -> tuple[str, ...]:
        """Model, layer and subject."""
        return tuple(filter(None, (self.first.model, self.first.layer, self.subject)))

    @property
    def lines(self) -> list[str]:
        """Everything in sentences: the configuration's messages, each once, then a line for each rule."""
        if len(self.findings) == 1:
            return [self.first.told]
        told = [one.told.removeprefix(one.message).strip() for one in self.findings]
        return list(dict.fromkeys(filter(None, (*(one.message for one in self.findings), *told, self.contrary))))

    @property
    def told_alone(self) -> str:
        """`lines` with the change of the model, for a report whose reader sees this group and no other."""
        change = self.first.change and f"Changed in the model: {self.first.change}"
        return " ".join(filter(None, (*self.lines, change)))

    @property
    def contrary(self) -> str:
        """A sentence where the model's sizes moved both ways."""
        moved = [one for one in (*self.findings, *self.others) if SIZE.fullmatch(one.metric) and one.is_moved]
        fell, rose = (dict.fromkeys(one.metric for one in moved if (one.moved or 0) * way > 0) for way in (-1, 1))
        if not fell or not rose or not any(name.startswith(EDGE) for name in (*fell, *rose)):
            return ""
        return CONTRARY.format(", ".join(fell), ", ".join(rose))

    @property
    def remedy(self) -> str:
        """What to do: about the change of the model first, then about the bounds, each once."""
        drifts = [one for one in self.findings if one.rule is Rule.DRIFT and one.undo]
        changes = sorted(drifts, key=lambda one: (one.moved or 0) > 0) or [one for one in self.findings if one.undo]
        undo = changes[0].undo if changes else ""
        most = max(one.needs for one in self.findings)  # inputs that are enough for one are enough for the others
        texts = dict.fromkeys(
            one.mend.removesuffix(MEANT).strip() for one in self.findings if one.mend and one.needs in (0, most)
        )
        meant = MEANT if any(one.mend.endswith(MEANT) for one in self.findings) else ""
        advice = " ".join(filter(None, (*texts, meant)))
        return " ".join(filter(None, (undo, f"For the bound: {advice}" if undo and advice else advice)))

    @property
    def headline(self) -> str:
        """`models/seg.onnx: TRF 141 → 53 px (-62.4%)`, or a bound that does not hold."""
        compared = {one.metric: one for one in self.findings if one.change_in_percent not in ("", "0%")}
        leading = next((compared[name] for name in LEADING if name in compared), next(iter(compared.values()), None))
        if leading is not None:
            unit = f" {leading.unit}".rstrip()
            name = SHORT.get(leading.metric, leading.metric)
            values = f"{leading.before:.4g} → {leading.found:.4g}{unit} ({leading.change_in_percent})"
            return f"{leading.model}: {name} {values}"
        one = self.first
        if one.needs and one.rule is Rule.DRIFT:
            return f"{one.model}: chance hides a change of {one.metric}"
        if not one.metric:
            return f"{one.model}: {one.subject}"
        return f"{one.model}: {one.metric} {one.measured}, expected {one.expected}"


def groups(report: Report) -> list[Group]:
    """`report.trouble` by cause, the worst first: all bounds and drifts of a model in one check are one group."""
    return sorted(_groups(report), key=lambda one: WORST.index(one.first.verdict))


def headline(found: Sequence[Group]) -> str:
    """The first group in a line, with the first change of its model if that is short, and how many models are more."""
    first, *_ = found
    change, _, _ = first.first.change.removesuffix(".").partition("; ")
    words = f"{first.headline}: {change}" if 0 < len(change) <= LONGEST else first.headline
    more = len({one.first.model for one in found}) - 1
    return f"{words} (and {more} more model{'s' * (more > 1)})" if more else words


def is_told(change: str) -> bool:
    """Whether a headline has the whole of this change."""
    return len(change) <= LONGEST and "; " not in change


def _groups(report: Report) -> Iterator[Group]:
    yield from (Group((one,)) for one in report.trouble if not _is_judged(one))
    same: dict[tuple[str, str, str], list[Finding]] = {}
    for one in filter(_is_judged, report.trouble):
        same.setdefault(_key(one), []).append(one)
    for key, findings in same.items():
        yield Group(tuple(findings), tuple(one for one in report.findings if _key(one) == key and one not in findings))


def _is_judged(finding: Finding) -> bool:
    return bool(finding.metric) and finding.rule in (Rule.BOUND, Rule.DRIFT)


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.check, finding.model, finding.layer


def _metrics(findings: Iterable[Finding], rule: Rule) -> dict[str, None]:
    return dict.fromkeys(one.metric for one in findings if one.rule is rule and one.metric)
