"""What OpenAPI shows of /erf beyond the schemas: request bodies, media types, examples."""

from typing import Any

from erfscope_service.upload.raw import model_form

_SPEC = {
    "name": "plain-5",
    "input": {"channels": 3, "size": [64, 64]},
    "layers": [
        {
            "type": "repeat",
            "times": 5,
            "layers": [
                {"type": "conv", "out_channels": 16, "kernel_size": 3, "padding": 1},
                {"type": "relu"},
            ],
        }
    ],
}
_JOB = {
    "schema_version": 1,
    "id": "QGKk9X7yq3zvN1cJ0lBw6A",
    "status": "queued",
    "stage": "",
    "progress": 0.0,
    "attempt": 0,
    "cached": False,
    "created_at": "2026-01-31T12:00:00Z",
    "model": {"sha256": None, "name": "plain-5"},
    "request": {"model": {"architecture": _SPEC}},
    "links": {
        "self": "/erf/QGKk9X7yq3zvN1cJ0lBw6A",
        "events": "/erf/QGKk9X7yq3zvN1cJ0lBw6A/events",
        "heatmap": "/erf/QGKk9X7yq3zvN1cJ0lBw6A/heatmap.png",
        "map": "/erf/QGKk9X7yq3zvN1cJ0lBw6A/map.npy",
    },
}

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "description": "An ONNX file as a form part, or JSON that names a stored model or describes a network.",
    "content": {
        "multipart/form-data": {
            "schema": model_form(request={"$ref": "#/components/schemas/ErfRequest"}),
            "encoding": {"request": {"contentType": "application/json"}},
        },
        "application/json": {
            "schema": {"$ref": "#/components/schemas/ErfRequest"},
            "examples": {
                "architecture": {"summary": "A spec", "value": {"model": {"architecture": _SPEC}}},
                "stored": {
                    "summary": "A stored ONNX model, another layer and a random-weights average",
                    "value": {
                        "model": {"sha256": "0" * 64},
                        "target": {"layer": "/layer3/layer3.5/Add_output_0"},
                        "average": {"inputs": 16, "weights": 8},
                        "weights": "kaiming_normal",
                    },
                },
                "element": {
                    "summary": "One element of a layer by its full index, one sample verified by autograd",
                    "value": {
                        "model": {"sha256": "0" * 64},
                        "target": {"layer": "/head/MatMul_output_0", "unit": {"index": [3, 7, 7]}},
                        "verify": True,
                    },
                },
            },
        },
    },
}

_LOCATION = {"description": "The job's address.", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds until a first look is worth it.", "schema": {"type": "integer"}}
_ETAG = {"ETag": {"description": "Strong: the answer never changes.", "schema": {"type": "string"}}}

ACCEPTED: dict[str, Any] = {
    "description": "Recorded; already succeeded when the same question was answered before.",
    "headers": {"Location": _LOCATION, "Retry-After": _RETRY_AFTER},
    "content": {"application/json": {"example": _JOB}},
}
JOB: dict[str, Any] = {"description": "The job as it is now.", "headers": _ETAG}
NOT_MODIFIED: dict[str, Any] = {"description": "What the client holds (If-None-Match) is current."}
EVENTS: dict[str, Any] = {
    "description": "The stream; it ends after `end`.",
    "content": {
        "text/event-stream": {
            "example": "event: snapshot\ndata: {…Job…}\nid: 1700000000000-0\n\n"
            "event: progress\n"
            'data: {"status": "running", "stage": "measure", "progress": 0.5, "attempt": 1}\n'
            "id: 1700000000450-0\n\nevent: end\ndata: {…Job…}\nid: 1700000001200-0\n\n"
        }
    },
}
PNG: dict[str, Any] = {
    "description": "The picture.",
    "headers": _ETAG,
    "content": {"image/png": {"schema": {"type": "string", "contentMediaType": "image/png", "format": "binary"}}},
}
NPY: dict[str, Any] = {
    "description": "NumPy's .npy format, float32 (float64 for dtype=float64).",
    "headers": _ETAG,
    "content": {
        "application/x-npy": {"schema": {"type": "string", "contentMediaType": "application/x-npy", "format": "binary"}}
    },
}
