"""Samples that would be taken twice: images are taken in turn, and the same image has the same gradient."""

from erfscope_contract.request import ErfRequest, Source

REPEATED = "Images: {count}, and a sample of each; more inputs would repeat them."


def without_repeats(request: ErfRequest, images: int) -> ErfRequest | None:
    """The request with a sample per image; None where it asks for no more, or each of its samples is another one.

    Samples of one image that are counted as many would claim a standard error that is too small: 0 for one image.
    """
    average, until = request.average, request.average.until
    asked = until.at_most if until else average.inputs
    if request.input.source is not Source.IMAGES or average.weights > 1 or images >= asked:
        return None
    if request.target.channels == "random":
        return None
    inputs = min(average.inputs, images)
    stop = until and until.model_copy(update={"at_most": images})
    return request.model_copy(update={"average": average.model_copy(update={"inputs": inputs, "until": stop})})
