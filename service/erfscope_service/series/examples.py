"""What OpenAPI shows of /series: a body, and the chart."""

from typing import Any

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/SeriesRequest"},
            "examples": {
                "depth": {
                    "summary": "A spec swept over its depth",
                    "value": {
                        "sweep": {
                            "architecture": {
                                "name": "plain",
                                "input": {"channels": 3, "size": [64, 64]},
                                "layers": [
                                    {
                                        "type": "repeat",
                                        "times": 5,
                                        "layers": [
                                            {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same"},
                                            {"type": "relu"},
                                        ],
                                    }
                                ],
                            },
                            "parameters": ["/layers/0/times"],
                            "values": [5, 10, 20],
                        },
                        "x_label": "depth (layers)",
                    },
                }
            },
        }
    },
}
CHART: dict[str, Any] = {
    "description": "The chart.",
    "content": {"image/png": {"schema": {"type": "string", "contentMediaType": "image/png", "format": "binary"}}},
}
