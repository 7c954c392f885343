"""What a fit answers for each size of objects, as a sentence in the unit that is asked for. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from erfscope_contract.fit import FitLevel, FitObject, Verdict
from erfscope_contract.holding import UNITS_ACROSS, samples_in_words
from erfscope_contract.judging import NOUNS, By, need_of, share_of
from erfscope_contract.lengths import Lengths, pixels_of, scaled
from erfscope_contract.limits import AT_LEAST
from erfscope_contract.numbers import digits, with_error

LARGER = "a larger input (input.shape, --shape)"


def objects_of(
    sizes: Sequence[float],
    levels: Sequence[FitLevel],
    deciding: Collection[str],
    extents: Sequence[int],
    lengths: Lengths | None = None,
    *,
    samples: int | None = None,
    named: bool = False,
    by: By = "erf_size",
) -> list[FitObject]:
    """Each object size (pixels), with the levels that hold it; `deciding` are the heads whose rows count, if they do.

    Sentences are in `lengths`, by default in the input's own unit. `samples` were taken at each level, where known.
    `named`: the request named these layers, so that nothing is known of the others. `by` is the size that judges.
    """
    unit = lengths or pixels_of(len(extents))
    return [_Asked(size, levels, deciding, extents, unit, samples, named, by).answer() for size in sizes]


@dataclass(frozen=True)
class _Asked:
    """One size of objects, and the levels of the network."""

    size: float
    levels: Sequence[FitLevel]
    deciding: Collection[str]
    extents: Sequence[int]
    lengths: Lengths
    samples: int | None
    named: bool
    by: By

    @property
    def need(self) -> float:
        """The size that a level must have, pixels."""
        return need_of(self.size, self.by, len(self.extents))

    @property
    def noun(self) -> str:
        """What that size is called."""
        return NOUNS[self.by]

    def _of(self, level: FitLevel) -> float:
        return level.size_by(self.by) or 0.0

    def _long(self, size: float) -> str:
        """A length in pixels, in the unit of the sentence."""
        return f"{digits(size * self.lengths.mean)} {self.lengths.unit}"

    def _sized(self, level: FitLevel) -> str:
        """The size with its error."""
        size, error = level.size_by(self.by), level.error_by(self.by)
        text = with_error(scaled(size, self.lengths), scaled(error, self.lengths))
        return f"{text} {self.lengths.unit}"

    def answer(self) -> FitObject:
        """Who holds it, and that as a sentence."""
        holding = self._with("holds")
        counted = self._counted(holding)
        best = next((one for one in counted if one.role == "head"), counted[0] if counted else None)
        return FitObject(
            size=self.size,
            held_by=[one.name for one in holding],
            best=best.name if best else None,
            words=f"{self._long(self.size)}: {self._held(best) if best else self._missing()}",
        )

    def _with(self, verdict: Verdict) -> list[FitLevel]:
        """Levels of this verdict, smallest ERF first."""
        found = [one for one in self.levels if any(f.size == self.size and f.verdict == verdict for f in one.objects)]
        return sorted(found, key=self._of)

    def _counted(self, levels: Sequence[FitLevel]) -> list[FitLevel]:
        return [one for one in levels if not self.deciding or one.name in self.deciding]

    def _held(self, best: FitLevel) -> str:
        return f"{best.role} {best.name} holds it ({self._field(best)}, {self._stride(best)})."

    def _missing(self) -> str:
        if len(self._with("outside input")) == len(self.levels):
            if any(map(self._could, self._counted(self.levels))):
                return f"larger than the input; give {LARGER}."
            return f"larger than the input, and a larger one alone does not help: {self._too_small()}."
        unsure = self._counted(self._with("unsure"))
        if unsure:
            return self._unsure(next((one for one in unsure if one.role == "head"), unsure[0]))
        if not self._has_room() and not self._with("coarse grid") and any(map(self._could, self._counted(self.levels))):
            need, side = (self._long(length) for length in (self.need, min(self.extents)))
            return f"{self._share()} × its size is {need}, more than the input's {side}: measure on {LARGER}."
        return self._insufficient()

    def _insufficient(self) -> str:
        """Where field or grid of all that count are known to be too small or too coarse."""
        would, coarse = self._with("holds"), self._with("coarse grid")
        if self.named and len(self.levels) == 1:
            return f"{self._failed(self.levels)}{'.' if coarse else self._in_vain()}"
        if self.deciding:
            return f"{self._failed(self._deciding())}{self._would(would[0]) if would else self._advice()}"
        return self._too_coarse(coarse) if coarse else f"{self._none()} has {self._need()}; {self._largest()}"

    def _none(self) -> str:
        """Of the levels, or of the layers that were named, for there may be others."""
        return "no named layer" if self.named else "no level"

    def _deciding(self) -> list[FitLevel]:
        return [one for one in self.levels if one.name in self.deciding]

    def _has_room(self) -> bool:
        """Whether an ERF that is large enough fits into the input."""
        return self.need <= min(self.extents)

    def _side(self) -> int:
        """Of the largest TRF of those that count."""
        return max(map(_side_of, self._counted(self.levels)))

    def _too_small(self) -> str:
        """The TRF, beyond which no ERF can grow, and what is needed."""
        trf = digits(self._side() * self.lengths.mean, 4)
        return f"the TRF is {trf} {self.lengths.unit}, and {self._a()} of {self._long(self.need)} is needed"

    def _could(self, level: FitLevel) -> bool:
        """Whether its ERF could be large enough on a larger input, by its TRF."""
        return level.is_global or _side_of(level) >= self.need

    def _unsure(self, level: FitLevel) -> str:
        told = f"whether {level.role} {level.name} holds it is unsure"
        field, need = self._sized(level), self._long(self.need)
        if level.is_bound_by(self.by):
            return f"{told}: its {self.noun} of {field} fills the input, and {need} are needed. Measure on {LARGER}."
        more = samples_in_words(self._of(level), level.error_by(self.by), self.need, self.samples)
        return f"{told}: its {self.noun} is {field}, and {need} are needed. {more}"

    def _failed(self, rows: Sequence[FitLevel]) -> str:
        """What is wrong with the one that comes nearest: the finest that sees enough, else the largest field."""
        coarse = self._counted(self._with("coarse grid"))
        row = min(coarse, key=_step) if coarse else max(rows, key=self._of)
        what = "head" if row.role == "head" else "layer"
        who = f"the {what} {row.name} does not hold it" if len(rows) == 1 else f"no {what} holds it"
        nearest = "" if len(rows) == 1 else f"{row.name}: "
        if coarse:
            return f"{who} ({nearest}{self._stride(row)}, the object is narrower than {UNITS_ACROSS:g} units)"
        return f"{who} ({nearest}{self._field(row)} of {digits(self.need * self.lengths.mean)})"

    def _would(self, level: FitLevel) -> str:
        return f"; {level.role} {level.name} would ({self._field(level)}, {self._stride(level)})."

    def _advice(self) -> str:
        """Behind heads that do not hold it, where no level does."""
        if unsure := self._with("unsure"):
            level = unsure[-1]
            return f"; {level.role} {level.name} may ({self.noun} {self._sized(level)})."
        if self._with("coarse grid"):
            return f", and {self._none()} does."
        return f", and {self._none()} has {self._need()}; {self._largest()}"

    def _too_coarse(self, coarse: Sequence[FitLevel]) -> str:
        finest = min(coarse, key=_step)
        has = "has" if self._of(finest) >= self.need else "may have"
        return (
            f"{self._none()} is fine enough with {self._need()}; {finest.name} {has} the {self.noun} "
            f"({self._field(finest)}), but at {self._stride(finest)} "
            f"the object is narrower than {UNITS_ACROSS:g} units."
        )

    def _need(self) -> str:
        return f"{self._a()} of {self._share()} × its size ({self._long(self.need)})"

    def _share(self) -> str:
        return digits(share_of(self.by, len(self.extents)))

    def _a(self) -> str:
        return "an ERF" if self.by == "erf_size" else f"a {self.noun}"

    def _largest(self) -> str:
        """The largest field, to the end of the sentence."""
        largest = max(self.levels, key=self._of)
        return f"the largest is that of {largest.name} ({self._field(largest)}){self._in_vain()}"

    def _in_vain(self) -> str:
        """Where the input has no room for what is needed, that a larger one does not help; else the full stop alone."""
        if self._has_room():
            return "."
        return f". A larger input does not help: {self._too_small()}."

    def _field(self, level: FitLevel) -> str:
        """`ERF 27.3 px`, with so many digits that it is on the same side of what is needed as the number itself."""
        size = level.size_by(self.by)
        if size is None:
            return f"no {self.noun}"
        bound = AT_LEAST if level.is_bound_by(self.by) else ""
        return f"{self.noun} {bound}{self._beside(size)} {self.lengths.unit}"

    def _beside(self, size: float) -> str:
        return beside(size * self.lengths.mean, self.need * self.lengths.mean)

    def _stride(self, level: FitLevel) -> str:
        """Along each axis; once where it is the same along all. In the input's own unit it has no unit."""
        if self.lengths == pixels_of(len(self.extents)):
            return f"stride {_by(level.stride)}"
        steps = [s if s is None else s * one for s, one in zip(level.stride, self.lengths.steps, strict=True)]
        return f"stride {_by(steps)} {self.lengths.unit}"


def beside(value: float, bound: float) -> str:
    """Three digits, or as many more as show on which side of the bound a number lies."""
    texts = (digits(value, most) for most in (3, 4, 5, 6))
    return next((text for text in texts if _side(float(text), bound) == _side(value, bound)), digits(value, 7))


def _side(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)


def _step(level: FitLevel) -> float:
    return max((step or 0.0) for step in level.stride)


def _side_of(level: FitLevel) -> int:
    """The shortest side of the largest TRF of its units."""
    return min(level.trf_largest or level.trf_size, default=0)


def _by(steps: Sequence[float | None]) -> str:
    return "×".join("?" if step is None else digits(step) for step in dict.fromkeys(steps))
