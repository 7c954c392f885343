"""Networks by name: the article's experiments and well-known bodies, each as an Architecture.

`preset("vgg16")` returns one, `PRESETS` holds the builders. Classifier heads are left out where they would
only cost memory: a receptive field is measured at the last feature map.
"""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature

from erfscope_contract.architecture import Architecture
from erfscope_contract.presets import article, classics, plain, resnets, transformers
from erfscope_contract.problem import ProblemError

PRESETS: Mapping[str, Callable[[], Architecture]] = {
    **plain.PRESETS,
    **article.PRESETS,
    **classics.PRESETS,
    **resnets.PRESETS,
    **transformers.PRESETS,
}


def preset(name: str) -> Architecture:
    """The architecture of that name; raises ProblemError invalid-architecture with the nearest names."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=3, cutoff=0)
        raise ProblemError(
            "invalid-architecture",
            f"there is no preset {name!r}; did you mean {', '.join(near)}? `erfscope presets` lists all.",
        )
    return PRESETS[name]()


def about(builder: Callable[[], Architecture]) -> str:
    """The first line of a builder's documentation, with the values of the arguments that it names in backticks."""
    documented = builder.func if isinstance(builder, partial) else builder
    text = (documented.__doc__ or "").strip().partition("\n")[0]
    if isinstance(builder, partial):
        for argument, value in signature(builder.func).bind(*builder.args).arguments.items():
            text = text.replace(f"`{argument}`", str(value))
    return text.replace("`", "")


__all__ = ["PRESETS", "about", "preset"]
