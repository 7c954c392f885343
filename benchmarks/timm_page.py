"""The page docs/timm.md: the matrix of timm's families as a table."""

from collections.abc import Mapping, Sequence

from benchmarks.timm_networks import OPEN, SMALL
from benchmarks.timm_routes import ROUTES, Row
from benchmarks.timm_verdict import NEAR, VERIFIED, faults, summary

HEAD = ("family", "network", "input", "unit", "TRF", "stride", "centre", "by the chain", "ERF", "verify", "routes", "s")
COLUMNS = {
    "TRF": "theoretical receptive field, pixels, not clipped to the input; *global*: the whole input",
    "stride": "pixels from one unit to the next; – where neighbours do not move by it",
    "centre": "the unit's projected centre, pixels",
    "by the chain": "the same by hand rules: stride × index along the shallowest chain of windows in autograd's graph, "
    f"in code that shares nothing with the engine; at most {NEAR} px from the centre. "
    "The same rules give the TRF where it is not global and nothing is resampled: it is equal",
    "ERF": "Luo's effective size, pixels, in process: the mean of a few samples, weights not trained",
    "verify": "relative difference of one sample's gradient from plain autograd's on the whole network, the worst of "
    f"the routes; below {VERIFIED:.0e}",
    "routes": "how many hold: verified, and with the TRF and centre of the route in process; routes that "
    "were not run, and files that torch does not write (named below the table), are not counted",
    "s": "seconds in process, one thread",
}
TEXT = f"""# timm's families, measured

One small network of every family of [timm](https://github.com/huggingface/pytorch-image-models): the one with the
fewest parameters that runs between 64 and 224 pixels, at the smallest such input. The unit is the middle one of the
last feature map (`forward_features`), found by `layer: auto`. Every network is measured on three routes: in process,
and as an ONNX file of each of torch's exporters, `torch.onnx.export(dynamo=True)` and `dynamo=False`. Where an
exporter fails on fused attention, the file has timm's plain one (`timm.layers.set_fused_attn(False)`).

| column | is |
|---|---|
{chr(10).join(f"| {name} | {meaning} |" for name, meaning in COLUMNS.items())}

Weights are random (seed 0). Before training many networks close their branches: a layer scale of 1e-6, a last γ of 0.
The ERF of such a network is that of its shortcuts. So every parameter whose entries all lie below {SMALL:g}, but for
biases, tokens, positions and heads, is re-drawn: a scale (one number per channel) uniform in [{OPEN[0]}, {OPEN[1]}], a
matrix normal with variance 1 / columns. *re-drawn* beside a network's name says how many.

The table is made by

```text
python -m benchmarks.timm_matrix --json timm.jsonl
python -m benchmarks.timm_matrix --table timm.jsonl > docs/timm.md
```

"""


def page(rows: Mapping[str, Mapping[str, Row]]) -> str:
    """The page in Markdown of rows by family and route."""
    part = [known for _, known in sorted(rows.items()) if any(row.network for row in known.values())]
    lines = [HEAD, tuple("---" for _ in HEAD), *map(_line, part)]
    versions = sorted({row.versions for known in part for row in known.values()})
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{TEXT}{table}\n\n{_sentences(rows)}\n\nMeasured with {'; '.join(versions)}.\n"


def _line(known: Mapping[str, Row]) -> Sequence[str]:
    row = known.get(ROUTES[0]) or next(iter(known.values()))
    measured = [each for each in known.values() if not each.not_exported]
    holding = sum(not faults(each, known) for each in measured)
    worst = max((each.verify for each in known.values() if each.verify is not None), default=None)
    return (
        row.family, _name(row), "×".join(map(str, row.shape)), _numbers(row.unit, "×"),
        "global" if row.is_global else _numbers(row.trf, "×"), _numbers(row.stride, "×"), _numbers(row.center, ", "),
        _numbers(row.chain or (), ", "), "–" if row.erf is None else f"{row.erf:.0f}",
        "–" if worst is None else f"{worst:.0e}", f"{holding} of {len(measured)}", f"{row.seconds:.0f}",
    )  # fmt: skip


def _name(row: Row) -> str:
    return f"{row.network} ({row.redrawn} re-drawn)" if row.redrawn else row.network


def _numbers(numbers: Sequence[float | None], between: str) -> str:
    """`7×7` where the axes differ or are joined by a comma, `7` where they are alike."""
    words = ["–" if number is None else f"{number:g}" for number in numbers]
    return words[0] if len(set(words)) == 1 else between.join(words) or "–"


def _sentences(rows: Mapping[str, Mapping[str, Row]]) -> str:
    return "\n\n".join(line.replace("<", "&lt;").replace("|", "/") for line in summary(rows).split("\n"))
