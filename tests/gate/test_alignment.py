"""Which layer of a changed network is which of the former: by place and kind, whatever the layers are called now."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gate.conftest import Check, conv, onnx_model, spec

from erfscope.gate.alignment import CELLS, GAP, aligned
from erfscope.gate.layers import changed

Write = Callable[..., Path]
RELU = "Relu TRF=1 grid=1"


def conv_line(dilation: int = 1, step: int = 1, module: str = "") -> str:
    return f"Conv TRF=1 grid=1 kernel=3 step={step} dilation={dilation}" + (f" module={module}" if module else "")


def chain(*convs: str) -> dict[str, str]:
    """Each convolution with its ReLU, numbered as an exporter numbers them."""
    return {name: line for n, one in enumerate(convs) for name, line in ((f"conv{n}", one), (f"relu{n}", RELU))}


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (
            chain(conv_line(), conv_line(2), conv_line(4)),
            chain(conv_line(), conv_line(1, 2), conv_line(2), conv_line(4)),
            "layers conv1 (Conv, kernel 3, stride 2), relu1 (Relu) added between relu0 and conv2.",
        ),
        (
            chain(conv_line(), conv_line(1, 2), conv_line(2), conv_line(4)),
            chain(conv_line(), conv_line(2), conv_line(4)),
            "layers conv1 (Conv, kernel 3, stride 2), relu1 (Relu) removed between relu0 and conv2.",
        ),
        (
            chain(conv_line(), conv_line(2), conv_line(4)),
            chain(conv_line(), conv_line(1, 2), conv_line(2), conv_line(8)),
            "layers conv1 (Conv, kernel 3, stride 2), relu1 (Relu) added between relu0 and conv2; "
            "dilation of conv3 (before: conv2) 4 → 8.",
        ),
        (
            chain(conv_line(1), conv_line(2), conv_line(4)),
            chain(conv_line(2), conv_line(1), conv_line(4)),
            "dilation of conv0 1 → 2; dilation of conv1 2 → 1.",
        ),
        (
            chain(conv_line(module="a"), conv_line(module="c")),
            chain(conv_line(module="a"), conv_line(module="b"), conv_line(module="c")),
            "layers conv1 (module b, Conv, kernel 3), relu1 (Relu) added between relu0 and conv2 (module c).",
        ),
        (
            chain(conv_line(module="a"), conv_line(2, module="c")),
            chain(conv_line(module="a"), conv_line(3, module="b"), conv_line(4, module="c")),
            "layers conv1 (module b, Conv, kernel 3, dilation 3), relu1 (Relu) added between relu0 and conv2 "
            "(module c); dilation of conv2 (module c) 2 → 4.",
        ),
        (chain(conv_line()), {"stem": conv_line(), "act": RELU}, ""),
        (  # an older baseline has no kernels, which is no change
            {"a": "Conv TRF=3 grid=1", "b": "MaxPool TRF=4 grid=2"},
            {"x": conv_line(), "y": "AveragePool TRF=4 grid=2 kernel=2 step=2", "z": "MaxPool TRF=6 grid=4 kernel=2"},
            "layer y (AveragePool, kernel 2, stride 2) added between x and z.",
        ),
    ],
)  # fmt: skip
def test_an_inserted_layer_is_not_blamed_on_those_behind_it(
    before: dict[str, str], now: dict[str, str], words: str
) -> None:
    assert changed(before, now) == words


def cheapest(before: str, now: str) -> float:
    """What the best pairing costs, by trying all of them."""
    if not before or not now:
        return GAP * (len(before) + len(now))
    pair = cost(before[0], now[0]) + cheapest(before[1:], now[1:])
    return min(pair, GAP + cheapest(before[1:], now), GAP + cheapest(before, now[1:]))


def cost(old: str, new: str) -> float:
    return 0.0 if old == new else 1.5 if old.upper() == new.upper() else 2 * GAP


def test_no_pairing_is_cheaper() -> None:
    draw = random.Random(0)
    for _ in range(200):
        before, now = ("".join(draw.choices("aAbB", k=draw.randrange(7))) for _ in range(2))
        pairs = aligned(before, now, cost)
        assert [old for old, _ in pairs if old is not None] == list(before)
        assert [new for _, new in pairs if new is not None] == list(now)
        paid = sum(GAP if old is None or new is None else cost(old, new) for old, new in pairs)
        assert paid == cheapest(before, now)


def sequential(*dilations: int, inserted: int | None = None) -> dict[str, str]:
    """An export of a Sequential of convolutions with ReLUs, numbered by place; one with a stride may be inserted."""
    lines = [conv_line(dilation) + f" padding={dilation}" for dilation in dilations]
    if inserted is not None:
        lines.insert(inserted, conv_line(1, 2) + " padding=1")
    names = [(f"conv2d_{n}", f"{line} module=body.{2 * n}") for n, line in enumerate(lines)]
    return {name: line for n, one in enumerate(names) for name, line in (one, (f"relu_{n}", RELU))}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            sequential(2, 4, 8, 8),
            "dilation of conv2d_0 (module body.0) 1 → 2, padding 1 → 2; "
            "dilation of conv2d_1 (module body.2) 2 → 4, padding 2 → 4; "
            "dilation of conv2d_2 (module body.4) 4 → 8, padding 4 → 8.",
        ),
        *(
            (
                sequential(*(1, 2, 4, 1), inserted=place),
                f"layers conv2d_{place} (module body.{2 * place}, Conv, kernel 3, stride 2), relu_{place} (Relu) "
                f"added between relu_{place - 1} and conv2d_{place + 1} (module body.{2 * place + 2}); "
                f"dilation of conv2d_4 (module body.8, before: body.6) 8 → 1, padding 8 → 1.",
            )
            for place in (1, 2)
        ),
        (
            sequential(1, 2, 4, 1, inserted=3),  # right before the layer that changed too, whose name it now has
            "layers conv2d_3 (module body.6, Conv, kernel 3, stride 2), relu_3 (Relu) added between relu_2 and "
            "conv2d_4 (module body.8); dilation of conv2d_4 (module body.8, before: body.6) 8 → 1, padding 8 → 1.",
        ),
    ],
)
def test_each_of_several_changes_is_told_at_its_layer(now: dict[str, str], words: str) -> None:
    assert changed(sequential(1, 2, 4, 8), now) == words


def test_long_networks_are_compared_near_the_diagonal_alone() -> None:
    calls = 0

    def counted(old: str, new: str) -> float:
        nonlocal calls
        calls += 1
        return 0.0 if old == new else 2 * GAP

    before, now = ([f"{side}{n}" for n in range(2000)] for side in "ab")
    pairs = aligned(before, now, counted)
    assert [old for old, _ in pairs if old is not None] == before
    assert [new for _, new in pairs if new is not None] == now
    assert calls < 3 * CELLS
    for rows, columns in ((3, 90_000), (90_000, 3), (700, 900)):
        before, now = [f"a{n}" for n in range(rows)], [f"b{n}" for n in range(columns)]
        pairs = aligned(before, now, cost)
        assert [old for old, _ in pairs if old is not None] == before
        assert [new for _, new in pairs if new is not None] == now
    before = [f"a{n}" for n in range(2000)]
    now = [f"x{n}" for n in range(5)] + before[:900] + before[910:-1] + ["y"]
    pairs = aligned(before, now, counted)  # far from the ends, with ends that differ
    assert sum(old == new for old, new in pairs) == 2000 - 10 - 1


def test_a_check_tells_of_a_layer_that_was_inserted(check: Check, write: Write) -> None:
    layers = spec(dilation=2)["layers"]
    write("models/net.json", spec(dilation=2))
    write("models/export.onnx", onnx_model((1, 2, 4)))
    write(
        "erfscope.toml", '[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*"\ndrift = { max = 0 }\ntrf_size = {}\n'
    )
    assert check("--update-baseline").code == 0
    down = [conv(stride=2, padding=1), {"type": "relu"}]
    write("models/net.json", spec(layers=[*layers[:2], *down, *layers[2:]]))
    write("models/export.onnx", onnx_model((1, 3, 2, 4)))
    done = check()
    assert done.code == 1
    assert (
        "Changed in models/net.json: layers conv_2 (conv, kernel 3, stride 2), relu_3 (relu) added between relu_1 and "
        "second." in done.words
    )
    assert (
        "Changed in models/export.onnx: layers conv1 (Conv, kernel 3, dilation 3), relu1 (Relu) added between relu0 "
        "and conv2." in done.words
    )
