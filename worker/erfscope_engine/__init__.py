"""The ERF library: record a network on tape, follow its geometry, average gradients, measure the map.

Pure torch and numpy: it knows no Celery, no Redis, no HTTP.
"""

from erfscope_engine.face import extents_of, layers_of, measure, receptive_field
from erfscope_engine.layers import Layer
from erfscope_engine.measure import measure_network, sample_network
from erfscope_engine.measurement import Measurement
from erfscope_engine.module import network_of
from erfscope_engine.network import Mark, Network
from erfscope_engine.reaches import Extent
from erfscope_engine.receptive import ReceptiveField

__all__ = [
    "Extent",
    "Layer",
    "Mark",
    "Measurement",
    "Network",
    "ReceptiveField",
    "extents_of",
    "layers_of",
    "measure",
    "measure_network",
    "network_of",
    "receptive_field",
    "sample_network",
]
