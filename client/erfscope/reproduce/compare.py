"""One net against another: the ratio of a metric with its error, judged by the sign that the article states."""

from erfscope.reproduce.bench import Shot
from erfscope.reproduce.finding import Quantity, Row
from erfscope.reproduce.judge import above, below


def ratio_row(id: str, claim: str, shots: tuple[Shot, Shot], metric: str, *, grows: bool, published: str = "") -> Row:
    """How many times larger the first net's metric is than the second's; it should be above (or below) 1."""
    changed, base = (shot.quantity(metric) for shot in shots)
    ratio = changed / base
    return Row(
        id=id,
        claim=claim,
        published=published or ("larger" if grows else "smaller"),
        ours=ratio,
        unit="times",
        verdict=(above if grows else below)(ratio, 1.0),
        how=f"{metric}: {shots[0].how} against {shots[1].how.partition(',')[0]}",
        note=f"{_plain(changed)} against {_plain(base)}",
    )


def _plain(quantity: Quantity) -> str:
    error = "" if quantity.error is None else f" ± {quantity.error:.2g}"
    return f"{quantity.value:.4g}{error}"
