"""`erfscope layers`: what may be asked about in a model."""

from collections.abc import Mapping, Sequence
from os.path import commonprefix
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from rich.table import Table
from rich.text import Text
from typer import Option

from erfscope import _local
from erfscope._client import Client
from erfscope._errors import refuse
from erfscope._figure import VECTOR, layers_figure
from erfscope._models import Prepared, prepare
from erfscope.cli import options, show, values
from erfscope.cli.asking import calls_numbered, modules_of
from erfscope.cli.progress import progress_bar
from erfscope.report.profile import layers_csv
from erfscope_contract.job import Inspection, LayerRow
from erfscope_contract.request import InputOptions
from erfscope_contract.text import for_terminal

Heading = tuple[str, Literal["left", "right"]]
HEADINGS: tuple[Heading, ...] = (
    ("operator", "left"), ("shape", "right"), ("TRF", "right"), ("stride", "right"), ("TRF area", "right"),
)  # fmt: skip
FORMS = (".csv", ".png", *VECTOR)
Outputs = Annotated[
    list[Path] | None,
    Option(
        "-o",
        "--output",
        help=f"File to write; its ending is its format, one of {', '.join(FORMS)}: the table with a "
        "line per layer, or TRF and stride along depth as a chart; may be given several times (default: none).",
        rich_help_panel=options.OUTPUT,
    ),
]
MARK = " ← auto"
LOCAL = "global (…): through statistics over the image (normalisation, squeeze-and-excite); in brackets without them."
HINT = (
    "Which layer? auto for a backbone as a whole; for segmentation the head, which gives the classes of each pixel; "
    "for detection each head: erfscope fit MODEL --object SIZE names the one for your objects."
)
EXPORTERS = "_output_0"  # torch appends it to the node's name, which is understood as well
HEAD = 4  # letters before a gap in what all names share
GAP = 2  # between columns
SHORTEST = 24  # a name keeps so much, however narrow the terminal


def layers(
    model: options.Model,
    output: Outputs = None,
    as_json: options.AsJson = False,
    shape: options.Shape = None,
    input_name: options.InputName = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """List the spatial layers of MODEL: name, operator, shape, TRF size, stride, TRF area as part of the input's.

    Of an ONNX file that torch exported the module of each layer is shown too.
    """
    for path in output or ():
        values.check_output(path, FORMS)
    prepared = prepare(model)
    sizes = values.integers(shape, "--shape") if shape else None
    with progress_bar(f"inspecting {prepared.name}") as progress:
        if url:
            inspection = _remote(url, api_key, prepared, sizes, input_name)
        else:
            inspection = _local.inspect(prepared, InputOptions(shape=sizes, name=input_name), progress)
    for path in output or ():
        path.write_bytes(_file(inspection, path))
    if as_json:
        print(inspection.model_dump_json(indent=2))
    else:
        layers = [(row.name, row.operator) for row in inspection.layers]
        _print(inspection, calls_numbered(modules_of(prepared), layers))
        show.print_lines(show.console(), [f"wrote {path}" for path in output or ()])


def _file(inspection: Inspection, path: Path) -> bytes:
    """The table as CSV, or TRF and stride along depth as a chart."""
    form = path.suffix.lower()
    if form == ".csv":
        return layers_csv(inspection.layers).encode()
    rows = [row.model_dump(mode="json") for row in inspection.layers]
    if not rows:
        raise refuse("bad-request", f"{inspection.name} has no spatial layers, so there is nothing to draw in {path}")
    if form == ".png":
        from erfscope_picture import render_profile

        return render_profile(rows, inspection.name)
    return layers_figure(rows, inspection.name, form)


def _remote(
    url: str, api_key: str | None, prepared: Prepared, shape: list[int] | None, input_name: str | None
) -> Inspection:
    kind = "unsupported-feature"
    if shape is not None:
        raise refuse(kind, "a service inspects at the model's own shape; leave out --shape, or --url and ERFSCOPE_URL")
    if input_name is not None:
        raise refuse(
            kind, "a service inspects the model's first image input; leave out --input-name, or --url and ERFSCOPE_URL"
        )
    if prepared.content is None:
        raise refuse(
            kind, "a service inspects ONNX files only; to inspect a spec here, leave out --url and unset ERFSCOPE_URL"
        )
    with Client(url, api_key=api_key) as client:
        return client.models.inspect(prepared.content.source)


def _print(inspection: Inspection, modules: Mapping[str, str]) -> None:
    out = show.console()
    widest = out.width if out.is_terminal else None  # names must come whole through a pipe
    out.print(table(inspection, widest, modules))
    shape = ", ".join(map(str, inspection.input_shape))
    told = f"{inspection.name}: input {inspection.input} [{shape}], {len(inspection.layers)} spatial layers."
    if inspection.unsupported:
        told += f" Cannot be converted: {', '.join(inspection.unsupported)}."
    local = [LOCAL] if any(row.local_box is not None for row in inspection.layers) else []
    largest = [show.LARGEST] if any(row.trf_largest for row in inspection.layers) else []
    show.print_lines(out, ["", told, *local, *largest, HINT, *(f"note: {note}" for note in inspection.notes)])


def table(inspection: Inspection, widest: int | None, modules: Mapping[str, str] = MappingProxyType({})) -> Table:
    """The spatial layers; the one that `auto` means is marked. Names are shortened to fit `widest` columns."""
    headings, rows = list(HEADINGS), [_cells(row) for row in inspection.layers]
    named = [modules.get(layer.name, "") for layer in inspection.layers]
    if any(named):
        headings = [("module", "left"), *headings]
        rows = [(for_terminal(module), *cells) for module, cells in zip(named, rows, strict=True)]
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("layer", no_wrap=True, overflow="fold")
    for heading, justify in headings:
        made.add_column(heading, justify=justify, no_wrap=True)
    room = None if widest is None else max(widest - _taken(headings, rows), SHORTEST)
    common = len(commonprefix([layer.name for layer in inspection.layers]))  # noqa: RUF071 – letters are meant
    for layer, cells in zip(inspection.layers, rows, strict=True):
        mark = MARK if layer.name == inspection.default_layer else ""
        name = layer.name if room is None else shortened(layer.name, room - len(mark), common)
        made.add_row(show.cell(name + mark), *map(Text, cells))
    return made


def _cells(row: LayerRow) -> tuple[str, ...]:
    trf = show.field_of(row.trf_size, row.is_global, row.local_box, "×", row.trf_largest)
    return row.operator, show.by(row.shape, "×"), trf, show.by(row.trf_stride, "×"), f"{row.coverage:.1%}"


def _taken(headings: Sequence[Heading], rows: Sequence[Sequence[str]]) -> int:
    """Columns that everything but the names takes."""
    columns = zip(*([heading for heading, _ in headings], *rows), strict=True)
    return sum(GAP + max(map(len, column)) for column in columns)


def shortened(name: str, room: int, common: int = 0) -> str:
    """`name` in at most `room` columns: without what exporters append, then with a gap in its middle.

    The gap lies in the first `common` letters, which all names share, where those suffice.
    """
    if len(name) > room:
        name = name.removesuffix(EXPORTERS)
    over = len(name) - room + 1
    if over <= 1:
        return name
    head = min(HEAD, common - over) if over < common else (room - 1) // 3
    return f"{name[:head]}…{name[head + over :]}"
