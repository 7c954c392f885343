"""One net against another: the ratio of a metric with its error, judged by the sign that the article states."""

from erfscope_contract.numbers import with_error
from erfscope_reproduce.bench import Shot
from erfscope_reproduce.finding import Row
from erfscope_reproduce.judge import above, below


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
        note=f"{with_error(changed.value, changed.error)} against {with_error(base.value, base.error)}",
    )
