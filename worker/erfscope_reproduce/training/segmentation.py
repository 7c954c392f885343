"""S12: a segmentation network, TRF 505, before, along and after training (figure 5, right)."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from erfscope_contract.presets.article import camvid_resnet16
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.finding import Finding, Row, Verdict, mean_of
from erfscope_reproduce.judge import above, within
from erfscope_reproduce.training import fit, runs, untrained
from erfscope_reproduce.training.along import GRID, Story
from erfscope_reproduce.training.batches import cropped, epoch_of, picked
from erfscope_reproduce.training.pictures import Labelled
from erfscope_reproduce.training.recipe import Course, Recipe, quick_precision
from erfscope_reproduce.training.scenes import IGNORED, camvid, made_scenes

if TYPE_CHECKING:
    from torch import Tensor

    from erfscope_engine.network import Network

TRF = 505
STRIDE = 16  # pixels per unit of the output
WIDE = 513  # an input that holds the whole TRF
PUBLISHED = {"before": 100.0, "after": 150.0}
ABOUT = 25.0  # pixels: what "about" may mean of a diameter read from a picture
CUTS = {"erf_size": "two sigma", "erf_size_1sigma": "one sigma"}
EPOCHS, RATE, BATCH = 40, 0.05, 8  # of the recipe for --data
SIZE, CROP = (180, 240), (144, 192)  # of CamVid's images as trained and tested, and of the parts that a step sees
REACHED = 0.4  # mean IoU of a network that has learnt the large classes and some of the small ones
PEERS = (
    "at 360×480: ENet 52.1 % (README of PyTorch-ENet), FCN-8 56.8 % and SegNet 46.6 % (README of MCV_CNN_framework), "
    "all with finer outputs than one unit in 16 px"
)
REMARK = """\
The article gives "16 residual blocks, 4 subsamplings, TRF 505" and no layer list; the preset camvid-resnet16 is our
reconstruction, whose TRF is exactly 505. The published diameters, about 100 and 150, are read from a picture. Before
training, batch normalisation has the statistics of the data. """
SHORT = """\
Made scenes and this many steps are not the article's training: what is not confirmed after training speaks of them. """
ALTERED = f"parts of {CROP[0]}×{CROP[1]} cut from images of {SIZE[0]}×{SIZE[1]} and mirrored, rare classes weighted"


def segmentation(bench: Bench) -> Finding:
    """S12: TRF, ERF before, along and after training on scenes."""
    trained = bench.data.camvid is not None and not bench.quick
    width, size, batch, steps, seeds = bench.choose((8, (96, 128), 4, 15, 1), (16, (192, 256), 4, 150, 2))
    if bench.data.camvid is not None and trained:
        data = camvid(bench.data.camvid, SIZE)
        recipe = Recipe(bench.epochs or EPOCHS, BATCH, RATE, precision=quick_precision())
        trial, told = _trial(bench, width, data, recipe, BATCH), untrained.REMARK + runs.in_words(recipe, ALTERED)
        moments = runs.by_recipe(bench, trial, recipe)
    else:
        data = made_scenes(size, *bench.choose((20, 8), (300, 32)))
        trial, told = _trial(bench, width, data, None, batch), SHORT
        moments = [runs.short(bench, trial, seed, (0, steps)) for seed in range(bench.seeds or seeds)]
    views = {"images": f"on test images, {data.images.shape[2]}×{data.images.shape[3]}", "noise": _noise()}
    story = Story("S12", data.name, moments, views, "mean IoU", "1.5 times")
    rows = [
        _trf_row(story),
        *(_size_row(story, view, when, cut) for view in views for when in PUBLISHED for cut in CUTS),
    ]
    rows += [*story.rows(), _score_row(story, data, trained)]
    if trained:
        rows += untrained.rows_of(bench, story, trial, WIDE, (PUBLISHED["before"], ABOUT))
    pictures = [story.trend(), story.scores(), story.maps("Figure 5: segmentation")]
    channels = f"channels: {width} to {8 * width}"
    return Finding(rows, pictures, f"{REMARK}{told}Data: {data.name}, {len(moments)} training run(s); {channels}.")


def _noise() -> str:
    return f"on noise, {WIDE}×{WIDE}, where nothing is cut off"


def _trial(bench: Bench, width: int, data: Labelled, recipe: Recipe | None, batch: int) -> runs.Trial:
    """The network and what it learns: by epochs of parts where there is a recipe, of whole scenes otherwise."""
    weights = class_weights(data.classes)
    batches = picked(data, batch) if recipe is None else epoch_of(data, batch, cropped(CROP))
    course = Course(
        data.name,
        len(data.images) // batch,
        batches,
        lambda out, truth: loss(out, truth, weights),
        lambda network: mean_iou(network, data),
    )
    return runs.Trial(camvid_resnet16(width), course, lambda network, how: _measured(bench, network, data, how))


def class_weights(classes: fit.Classes) -> "Tensor":
    """A weight of each class, 1 / ln(1.02 + its share of the pixels) (Paszke et al., ENet, arXiv 1606.02147)."""
    import torch

    counts = np.bincount(classes.ravel(), minlength=IGNORED)[:IGNORED]
    return torch.tensor(1 / np.log(1.02 + counts / counts.sum()), dtype=torch.float32)


def per_pixel(out: "Tensor", height: int, width: int) -> "Tensor":
    """Scores [N, K, H, W] of every pixel, interpolated between the units' centres at multiples of STRIDE."""
    from torch.nn import functional

    rows, columns = out.shape[2:]
    wider = functional.pad(out, (0, 1, 0, 1), mode="replicate")  # beyond the last centre its own value holds
    full = functional.interpolate(wider, (rows * STRIDE + 1, columns * STRIDE + 1), mode="bilinear", align_corners=True)
    return full[:, :, :height, :width]


def loss(out: "Tensor", truth: "Tensor", weights: "Tensor") -> "Tensor":
    """Weighted cross entropy at every pixel that has a class."""
    from torch.nn import functional

    return functional.cross_entropy(per_pixel(out, *truth.shape[1:]), truth, weights, ignore_index=IGNORED)


def mean_iou(network: "Network", data: Labelled) -> float:
    """The mean, over the classes that are there, of intersection over union, counted over all test images."""
    height, width = data.test_classes.shape[1:]
    pairs = np.zeros((IGNORED, IGNORED), np.int64)  # true class, named class
    for start in range(0, len(data.test_images), BATCH):
        named = (
            per_pixel(fit.forward(network, data.test_images[start : start + BATCH]), height, width).argmax(1).numpy()
        )
        true = data.test_classes[start : start + BATCH]
        known = true != IGNORED
        pairs += np.bincount(true[known] * IGNORED + named[known], minlength=pairs.size).reshape(pairs.shape)
    both, either = pairs.diagonal(), pairs.sum(0) + pairs.sum(1) - pairs.diagonal()
    there = pairs.sum(1) > 0
    return float((both[there] / either[there]).mean())


def _measured(bench: Bench, network: "Network", data: Labelled, how: str) -> dict[str, Shot]:
    inputs = min(bench.choose(4, 16), len(data.test_images))
    seen = replace(network, input_shape=data.images.shape[1:])
    images = list(data.test_images[:: len(data.test_images) // inputs][:inputs])
    return {
        "images": bench.measure_network(seen, how, images, inputs=inputs),
        "noise": bench.measure_network(replace(network, input_shape=(3, WIDE, WIDE)), how, inputs=inputs),
        GRID: bench.measure_network(seen, how, images, inputs=inputs, unit={"grid": [3, 3]}),
    }


def _trf_row(story: Story) -> Row:
    shot = story.runs[0][0].shots["noise"]
    size = shot.result.trf.size[0]
    verdict = Verdict.CONFIRMED if size == TRF else Verdict.REFUTED
    return Row("S12", "TRF of the reconstruction", str(TRF), mean_of([size]), verdict, shot.how, "px")


def _size_row(story: Story, view: str, when: str, metric: str) -> Row:
    index = 0 if when == "before" else -1
    size = story.size(view, metric, index)
    return Row(
        id="S12",
        claim=f"ERF {when} training, cut at {CUTS[metric]} ({story.views[view]})",
        published=f"about {PUBLISHED[when]:.0f}",
        ours=size,
        unit="px",
        verdict=within(size, PUBLISHED[when], ABOUT) if when == "before" else Verdict.MEASURED,  # data differ
        how=story.runs[0][index].shots[view].how,
    )


def _score_row(story: Story, data: Labelled, trained: bool) -> Row:
    """The mean IoU: above what a network that learnt reaches, where it was trained to the end."""
    reached = mean_of([run[-1].accuracy for run in story.runs])
    return Row(
        id="S12",
        claim=f"mean IoU on the test set after training{f' is above {REACHED:.0%}' if trained else ''}",
        published=PEERS if trained else "not given",
        ours=reached,
        verdict=above(reached, REACHED) if trained else Verdict.MEASURED,
        how=story.runs[0][-1].shots["images"].how,
        note=f"{len(data.test_images)} test images of {data.name}, {data.test_classes.shape[1]}×"
        f"{data.test_classes.shape[2]}, {len(np.unique(data.test_classes[data.test_classes != IGNORED]))} classes",
    )
