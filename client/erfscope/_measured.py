"""The engine's measurements as results of the SDK: offered to the engine as entry point `erfscope.results`."""

from collections.abc import Mapping
from typing import Any, Protocol

from erfscope._local import origin_of
from erfscope._result import Map, Result
from erfscope_contract.parts import LAYERS, MAP, UNITS
from erfscope_contract.result import ErfResult


class Measurement(Protocol):
    """What an engine gives: the result, the map, maps of units and layers in the result's order, the model's name."""

    @property
    def result(self) -> ErfResult: ...

    @property
    def map(self) -> Map: ...

    @property
    def units_map(self) -> Any: ...

    @property
    def layers_map(self) -> Any: ...

    @property
    def name(self) -> str: ...


def result_of(measurement: Measurement) -> Result:
    """The measurement as a Result: the same methods as one of a service."""
    named: Mapping[str, Any] = {
        MAP: measurement.map, UNITS: measurement.units_map, LAYERS: measurement.layers_map,
    }  # fmt: skip
    arrays = {name: array for name, array in named.items() if array is not None}
    return Result(measurement.result, origin_of(arrays, measurement.result, measurement.name), name=measurement.name)
