"""The kinds of questions. To add one, add a row (and its line in `erfscope_worker.runner` and `verdicts`)."""

from typing import Any

from erfscope_contract.advice import Advice, AdviceJob, AdviceRequest
from erfscope_contract.fit import Fit, FitJob, FitRequest
from erfscope_contract.holding import RULE
from erfscope_contract.tiles import Tiles, TilesJob, TilesRequest
from erfscope_jobs.records import Kind
from erfscope_service.questions.question import Question

CONV = {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same"}
SMALL = {
    "name": "small",
    "input": {"channels": 3, "size": [48, 48]},
    "layers": [CONV, {"type": "relu"}, CONV],
}

QUESTIONS: tuple[Question[Any, Any], ...] = (
    Question(
        kind=Kind.ADVICE,
        request=AdviceRequest,
        answer=Advice,
        job=AdviceJob,
        noun="advice",
        summary="Ask how a network reaches a wanted receptive field",
        description="Of a spec or a stored model: the ERF along depth, idle layers, and the smallest changes that "
        "reach `want`. Changes are found by the analytic method; the best are measured by gradient.",
        example={"model": {"architecture": SMALL}, "want": 24},
        example_summary="A small network that should see 24 pixels",
    ),
    Question(
        kind=Kind.TILES,
        request=TilesRequest,
        answer=Tiles,
        job=TilesJob,
        noun="job of /tiles",
        summary="Ask how an image is cut into tiles",
        description="Of a spec or a stored model: halo, alignment and crop with which the network gives on tiles what "
        "it gives on the whole image, checked by running the tiles. A network of which no tile can give that (global "
        "pooling, coordinates) is a failed job that says why.",
        example={"model": {"architecture": SMALL}, "tile": 32},
        example_summary="Tiles of 32 × 32 pixels for a small network",
    ),
    Question(
        kind=Kind.FIT,
        request=FitRequest,
        answer=Fit,
        job=FitJob,
        noun="job of /fit",
        summary="Ask which objects a network's heads and levels hold",
        description="Of a spec or a stored model: every head and the last layer of each stage with stride, TRF and "
        f"ERF, and for each object size which of them hold it. {RULE}",
        example={"model": {"architecture": SMALL}, "objects": [4, 16]},
        example_summary="Objects of 4 and 16 pixels in a small network",
    ),
)
