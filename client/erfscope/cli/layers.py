"""`erfscope layers`: what may be asked about in a model."""

from erfscope._client import Client
from erfscope._errors import refuse
from erfscope._models import Prepared, prepare
from erfscope.cli import local, options, show
from erfscope.cli.progress import progress_bar
from erfscope.contract.job import Inspection
from erfscope.contract.request import InputOptions


def layers(
    model: options.Model,
    as_json: options.AsJson = False,
    shape: options.Shape = None,
    url: options.Url = None,
) -> None:
    """List the spatial layers of MODEL: name, operator, shape, TRF size, stride, coverage of the input."""
    prepared = prepare(model)
    sizes = options.integers(shape, "--shape") if shape else None
    with progress_bar(f"inspecting {prepared.name}") as progress:
        if url:
            inspection = _remote(url, prepared, sizes)
        else:
            inspection = local.inspect(prepared, InputOptions(shape=sizes), progress)
    if as_json:
        print(inspection.model_dump_json(indent=2))
    else:
        _print(inspection)


def _remote(url: str, prepared: Prepared, shape: list[int] | None) -> Inspection:
    kind = "unsupported-feature"
    if shape is not None:
        raise refuse(kind, "a service inspects at the model's own shape; leave out --shape or --url")
    if prepared.content is None:
        raise refuse(kind, "a service inspects ONNX files; leave out --url to inspect a spec here")
    with Client(url) as client:
        return client.models.inspect(prepared.content.source)


def _print(inspection: Inspection) -> None:
    out = show.console()
    out.print(show.layer_table(inspection))
    shape = ", ".join(map(str, inspection.input_shape))
    told = f"{inspection.name}: input {inspection.input} [{shape}], {len(inspection.layers)} spatial layers."
    if inspection.unsupported:
        told += f" Cannot be converted: {', '.join(inspection.unsupported)}."
    show.print_lines(out, ["", told, *(f"note: {note}" for note in inspection.notes)])
