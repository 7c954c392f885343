"""S16: natural images as input instead of noise."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import sheet
from erfscope_reproduce.finding import Finding, Picture, Row, Verdict
from erfscope_reproduce.nonlinearity import distance

NETS = {"relu": "20 layers, ReLU", "tanh": "20 layers, tanh", "sigmoid": "20 layers, sigmoid"}
CROP = 122  # pixels of a photograph, reduced to half
SEED = 7


def photographs(count: int) -> NDArray[np.uint8]:
    """Random crops [count, H, W, 3] of the two photographs (a temple, a flower) that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    pictures, draw = load_sample_images().images, np.random.default_rng(SEED)
    crops = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        top, left = (int(draw.integers(0, extent - CROP + 1)) for extent in picture.shape[:2])
        crops.append(picture[top : top + CROP, left : left + CROP])
    return np.stack(crops).astype(np.uint8)


def natural_images(bench: Bench) -> Finding:
    """S16: the same nets and draws of the weights on photographs and on noise."""
    inputs, draws = bench.choose((4, 20), (8, 100))
    rows, panels = [], []
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder) / "crops.npy"
        np.save(crops, photographs(inputs))
        for kind, words in NETS.items():
            net = f"preset:plain-20-{kind}"
            noise = bench.measure(net, inputs=inputs, draws=draws)
            seen = bench.measure(net, crops, inputs=inputs, draws=draws, mean=[0.5], std=[0.25])
            rows.append(_row(seen, noise, words))
            panels += [(noise.map, f"{kind}, noise"), (seen.map, f"{kind}, photographs")]
    picture = Picture("s16-maps", sheet("Noise and photographs", panels, columns=2), "The same weights in each row.")
    return Finding(
        rows,
        [picture],
        "Crops of two photographs, scaled to mean 0. With random weights the input only decides which units are "
        "active. What a trained network sees on images and on noise stands at S11.",
    )


def _row(seen: Shot, noise: Shot, words: str) -> Row:
    ratio = seen.quantity("erf_size") / noise.quantity("erf_size")
    return Row(
        id="S16",
        claim=f"{words}: ERF on photographs, relative to noise",
        published="noise only",
        ours=ratio,
        unit="times",
        verdict=Verdict.MEASURED,
        how=f"{seen.how}, source=images",
        note=f"total variation distance of the maps {distance(seen, noise):.3f}; the weights are the same",
    )
