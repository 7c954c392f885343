"""The ERF library: record a network on tape, follow regions through it, average gradients, measure the map.

Pure torch and numpy: it knows no Celery, no Redis, no HTTP.
"""

from erfscope_engine.face import measure, receptive_field
from erfscope_engine.measure import Measurement, measure_network
from erfscope_engine.network import Mark, Network
from erfscope_engine.receptive import ReceptiveField

__all__ = [
    "Mark",
    "Measurement",
    "Network",
    "ReceptiveField",
    "measure",
    "measure_network",
    "receptive_field",
]
