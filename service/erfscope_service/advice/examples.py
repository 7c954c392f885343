"""What OpenAPI shows of /advice: a body."""

from typing import Any

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/AdviceRequest"},
            "examples": {
                "spec": {
                    "summary": "A small network that should see 24 pixels",
                    "value": {
                        "model": {
                            "architecture": {
                                "name": "small",
                                "input": {"channels": 3, "size": [48, 48]},
                                "layers": [
                                    {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same"},
                                    {"type": "relu"},
                                    {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same"},
                                ],
                            }
                        },
                        "want": 24,
                    },
                }
            },
        }
    },
}
