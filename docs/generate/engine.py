"""reference/engine.md: measuring torch modules in this process, from signatures and docstrings."""

import erfscope_engine
from docs.generate.sdk import thing
from docs.generate.table import joined
from erfscope_engine.layers import Layer
from erfscope_engine.measurement import Measurement
from erfscope_engine.receptive import ReceptiveField

HEAD = """# Engine

`erfscope_engine` measures a `torch.nn.Module` in this process, without a file and without a service. It needs torch:
`pip install 'erfscope[local]'`. The short names of fields are those of [Python](sdk.md); all fields are those of
[the request](request.md). A module is measured with the weights that it has."""
FUNCTIONS = ("measure", "receptive_field", "layers_of", "extents_of")
HANDED_OUT = (Measurement, ReceptiveField, Layer)


def engine() -> str:
    """The page: functions, then what they hand out."""
    functions = [thing(name, getattr(erfscope_engine, name), "erfscope_engine") for name in FUNCTIONS]
    results = [thing(one.__name__, one, "erfscope_engine", called=False) for one in HANDED_OUT]
    return joined([HEAD, *functions, "## What they return", *results])
