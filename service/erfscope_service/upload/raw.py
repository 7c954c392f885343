"""Raw bodies: one file is the whole body; its media type, its name, and what OpenAPI says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from python_multipart.multipart import parse_options_header

from erfscope_contract.problem import ProblemError
from erfscope_service.bodies import media_type_of, refuse_encoded
from erfscope_service.upload.form import clean_name

BINARY = "application/octet-stream"
# Both words for bytes: OpenAPI 3.1's, and 3.0's, which most generators of clients go by.
BYTES = {"type": "string", "contentMediaType": BINARY, "format": "binary"}
ONNX = ("application/onnx", "application/x-onnx", "application/x-protobuf", "application/protobuf")


def require_media_type(headers: Mapping[str, str], accepted: Sequence[str]) -> None:
    """415 for a compressed body or a Content-Type that is not one of `accepted`; none at all is fine."""
    refuse_encoded(headers)
    given = media_type_of(headers)
    if given and given not in accepted:
        raise ProblemError(
            "unsupported-media-type",
            f"The body is the file itself, as {BINARY}, not {given[:100]!r} "
            f"(curl: -H 'Content-Type: {BINARY}' --data-binary @file).",
            accepted=list(accepted),
        )


def file_name(headers: Mapping[str, str]) -> str:
    """The label in Content-Disposition, cleaned; empty without one."""
    _, options = parse_options_header(headers.get("content-disposition", ""))
    return clean_name(options.get(b"filename", b"").decode("utf-8", "replace"))


def model_form(**properties: Any) -> dict[str, Any]:
    """OpenAPI's schema of a form that carries a model, with further properties."""
    return {
        "type": "object",
        "required": ["model"],
        "additionalProperties": False,
        "properties": {
            "model": {**BYTES, "description": "The ONNX file. Its file name becomes the job's label."},
            "data": {
                "type": "array",
                "items": BYTES,
                "description": "Files beside the ONNX file that hold its weights, one part each, under the file name "
                "by which the model names it.",
            },
            **properties,
        },
    }


def raw_body(description: str, also: Sequence[str]) -> dict[str, Any]:
    """OpenAPI's words for a raw body; the media types that are taken `also` are named in its description.

    One media type in `content`, because generated clients send the last of several, whatever the file is.
    """
    words = f"{description} Also as {', '.join(also)}."
    return {"required": True, "description": words, "content": {BINARY: {"schema": BYTES | {"minLength": 1}}}}
