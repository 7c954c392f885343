"""The rows and pictures of trained networks: the ERF before, along and after training, and the score beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from erfscope_reproduce.draw import Axis, Series, chart, sheet
from erfscope_reproduce.finding import Picture, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.judge import above
from erfscope_reproduce.training.moments import Moment
from erfscope_reproduce.training.runs import Runs

METRICS = {"erf_size": "ERF size", "sigma_1": "sigma", "mass_50_side": "box with half of the mass"}
GRID = "grid"  # the view of several units, beside those that `views` names


@dataclass(frozen=True)
class Story:
    """Trained networks of one claim: `views` says what each view of the centre unit is, `score` what is scored."""

    id: str
    data: str
    runs: Runs
    views: dict[str, str]
    score: str
    growth: str  # what was published of the growth

    def rows(self) -> list[Row]:
        """Whether training enlarges the ERF: each view and metric, and the mean over the grid."""
        return [*(self.growth_row(view, metric) for view in self.views for metric in METRICS), self._grid_row()]

    def growth_row(self, view: str, metric: str) -> Row:
        """After over before, of one metric in one view."""
        ratios = [run[-1].shots[view].quantity(metric) / run[0].shots[view].quantity(metric) for run in self.runs]
        return self._growth_row(f"{METRICS[metric]} ({self.views[view]})", ratios, view)

    def _grid_row(self) -> Row:
        ratios = [grid_size(run[-1]) / grid_size(run[0]) for run in self.runs]
        units = len(self.runs[0][0].shots[GRID].result.units)
        where = next(iter(self.views.values()))
        return self._growth_row(f"ERF size, mean over a grid of {units} units ({where})", ratios, GRID)

    def _growth_row(self, what: str, ratios: Sequence[Quantity], view: str) -> Row:
        ratio = over_runs(ratios)
        return Row(
            id=self.id,
            claim=f"training on {self.data} enlarges the {what}",
            published=self.growth,
            ours=ratio,
            unit="times",
            verdict=above(ratio, 1.0),
            how=self.runs[0][-1].shots[view].how,
            note=self._error(),
        )

    def _error(self) -> str:
        alone = len(self.runs) == 1
        return f"the error is over {'test inputs of one trained network' if alone else f'{len(self.runs)} runs'}"

    def size(self, view: str, metric: str, index: int) -> Quantity:
        """A metric before (0) or after (-1) training."""
        return over_runs([run[index].shots[view].quantity(metric) for run in self.runs])

    def trend(self) -> Picture:
        """The ERF along training."""
        steps = [moment.step for moment in self.runs[0]]
        series = []
        for view, words in self.views.items():
            sizes = [self.size(view, "erf_size", index) for index in range(len(steps))]
            series.append(Series(words, steps, [size.value for size in sizes], [size.error or 0.0 for size in sizes]))
        png = chart("Along training", Axis("training steps"), Axis("ERF size (px)"), series)
        return Picture(f"{self.id.lower()}-trend", png, "ERF size along training; bars are one standard error.")

    def scores(self) -> Picture:
        """The score along training."""
        steps = [moment.step for moment in self.runs[0]]
        means = [mean_of([run[i].accuracy for run in self.runs]) for i in range(len(steps))]
        series = [Series("test images", steps, [mean.value for mean in means], [mean.error or 0.0 for mean in means])]
        title = f"{self.score[0].upper()}{self.score[1:]}"
        png = chart(f"{title} along training", Axis("training steps"), Axis(self.score), series)
        return Picture(f"{self.id.lower()}-accuracy", png, f"{title} at the same steps.")

    def maps(self, title: str) -> Picture:
        """The maps of the first run, before and after."""
        run = self.runs[0]
        panels = [
            (moment.shots[view].map, f"{view}, {moment.step} steps, {self.score} {moment.accuracy:.2f}")
            for view in self.views
            for moment in (run[0], run[-1])
        ]
        return Picture(f"{self.id.lower()}-maps", sheet(title, panels, columns=2), "The first run.")

    def size_rows(self, view: str) -> list[Row]:
        """The ERF before and after."""
        rows = []
        for index, when in ((0, "before"), (-1, "after")):
            shot = self.runs[0][index].shots[view]
            note = f"TRF {shot.result.trf.size[0]}"
            claim = f"ERF {when} training ({self.views[view]})"
            size = self.size(view, "erf_size", index)
            rows.append(Row(self.id, claim, "picture", size, Verdict.MEASURED, shot.how, "px", note))
        return rows


def over_runs(values: Sequence[Quantity]) -> Quantity:
    """The mean over training runs; of a single one, with the error over inputs."""
    return values[0] if len(values) == 1 else mean_of([value.value for value in values])


def grid_size(moment: Moment) -> Quantity:
    """The mean ERF size over a grid of units; its error as if all units' errors had one cause."""
    units = moment.shots[GRID].result.units
    sizes, errors = [unit.erf.size or 0.0 for unit in units], [unit.stderr.get("erf_size") or 0.0 for unit in units]
    return Quantity(sum(sizes) / len(sizes), sum(errors) / len(errors))
