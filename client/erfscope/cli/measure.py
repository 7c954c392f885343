"""`erfscope measure`: one network, one unit; a table on stdout and files where asked."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from erfscope import _local
from erfscope._client import Client
from erfscope._errors import refuse
from erfscope._figure import layers_figure, profile_rows, side_of
from erfscope._models import Prepared, prepare
from erfscope._request import build
from erfscope._result import FORMS, Result
from erfscope.cli import figures, options, show, values
from erfscope.cli.progress import progress_bar
from erfscope.report.remarks import remarks_of
from erfscope_contract.hashing import sha256_of
from erfscope_contract.lengths import Lengths, rank_of
from erfscope_contract.limits import legends
from erfscope_contract.text import for_terminal
from erfscope_contract.untrained import is_on_training

# How the text of an option becomes a field's value; the others are taken as they are.
READERS: Mapping[str, Callable[[Any], Any]] = {
    "unit": values.unit,
    "index": values.index,
    "channels": values.channels,
    "input_shape": lambda text: values.integers(text, "--shape"),
    "mean": lambda text: values.numbers(text, "--mean"),
    "std": lambda text: values.numbers(text, "--std"),
}


def _chart(result: Result, name: str) -> bytes:
    from erfscope_picture import render_profile

    return render_profile(profile_rows(result.data), name, side_of(result.data))


def _vectors(form: str, result: Result, name: str) -> bytes:
    return layers_figure(profile_rows(result.data), name, form, side_of(result.data))


PROFILE: Mapping[str, Callable[[Result, str], bytes]] = {
    ".csv": lambda result, _: result.profile_csv().encode(),
    ".png": _chart,
    ".pdf": partial(_vectors, ".pdf"),
    ".svg": partial(_vectors, ".svg"),
}


def measure(
    model: options.Model,
    output: options.Output = None,
    as_json: options.AsJson = False,
    layer: options.Layer = None,
    unit: options.Unit = None,
    index: options.Index = None,
    channels: options.Channels = None,
    inputs: options.Inputs = None,
    draws: options.Draws = None,
    until: options.Until = None,
    seed: options.Seed = None,
    statistic: options.Statistics = None,
    weights: options.WeightScheme = None,
    dtype: options.Arithmetic = None,
    method: options.Method = None,
    protocol: options.Protocol = None,
    shape: options.Shape = None,
    input_name: options.InputName = None,
    source: options.Sources = None,
    images: options.Images = None,
    mean: options.Mean = None,
    std: options.Std = None,
    profile: options.Profile = False,
    layers: options.ProfiledLayers = None,
    profile_output: options.ProfileOutput = None,
    verify: options.Verify = False,
    request: options.Request = None,
    scale: options.Scale = None,
    colormap: options.Colormap = None,
    width: options.Width = None,
    dpi: options.Dpi = None,
    font: options.Font = None,
    font_size: options.FontSize = None,
    no_contours: options.NoContours = False,
    no_trf: options.NoTrf = False,
    rate: options.Rate = None,
    spacing: options.Spacing = None,
    everything: options.Everything = False,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Measure the effective receptive field of MODEL.

    With --url or ERFSCOPE_URL a service does the work, otherwise this process does.
    """
    for path in output or ():
        values.check_output(path, FORMS)
    for path in profile_output or ():
        values.check_output(path, tuple(PROFILE), "--profile-output")
    given = {
        "layer": layer, "unit": unit, "index": index, "channels": channels, "inputs": inputs, "draws": draws,
        "until": until, "seed": seed, "statistic": statistic, "weights": weights, "dtype": dtype, "method": method,
        "protocol": protocol, "input_shape": shape, "input_name": input_name, "source": source, "mean": mean,
        "std": std, "layers": layers or ("all" if profile or profile_output else None), "verify": verify or None,
    }  # fmt: skip
    fields, base = read(given), _base(request)
    look = figures.look(scale, colormap, width, dpi, font, font_size, no_contours=no_contours, no_trf=no_trf)
    figures.check([*(output or ()), *(profile_output or ())], look)
    prepared = prepare(model)
    with (
        progress_bar(f"measuring {prepared.name}") as progress,
        Client(url, api_key=api_key) if url else nullcontext() as client,
    ):
        if client:
            result = _remote(client, prepared, {"request": base, "images": images, **fields}, progress)
        else:
            asked = build(base, fields, sha256_of(images) if images else None)
            result = _local.measure(prepared, asked, images, progress)
        lengths = values.lengths(rate, spacing, rank_of(result.data))
        look["rate"], look["spacing"] = rate, spacing
        for path in output or ():
            result.save(path, **look)
        for path in profile_output or ():
            path.write_bytes(PROFILE[path.suffix.lower()](result, prepared.name))
    if as_json:
        print(result.to_json())
    else:
        _print(result, prepared.name, [*(output or ()), *(profile_output or ())], everything, lengths)


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of the request."""
    fields = {
        name: READERS[name](value) if name in READERS else value for name, value in given.items() if value is not None
    }
    if "index" not in fields:
        return fields
    if "unit" in fields:
        raise refuse("bad-request", "--index and --unit both name the unit; give one of them")
    return {"unit": fields.pop("index"), **fields}


def _remote(
    client: Client, prepared: Prepared, fields: Mapping[str, Any], progress: Callable[[str, float], None]
) -> Result:
    model = prepared.ref if prepared.content is None else prepared.content.source
    job = client.submit(model, **fields)
    print(f"job {job.id}; `erfscope jobs wait {job.id}` finds it again", file=sys.stderr)
    if job.job.note:
        print(f"note: {for_terminal(job.job.note)}", file=sys.stderr)
    try:
        return job.result(progress=progress)
    except KeyboardInterrupt:
        job.cancel()  # nobody waits for it any more
        raise


def _base(path: Path | None) -> Mapping[str, Any] | None:
    if path is None:
        return None
    try:
        body = json.loads(path.read_text("utf-8"))
    except RecursionError:
        raise refuse("bad-request", f"--request {path} has brackets within brackets, too many to read") from None
    except ValueError as error:
        raise refuse("bad-request", f"--request {path} is not JSON: {error}") from None
    if not isinstance(body, dict) or "model" in body:
        raise refuse("bad-request", f"{path} must be a JSON object without `model`; MODEL is the argument")
    return body


def _print(result: Result, name: str, written: list[Path], everything: bool, lengths: Lengths | None) -> None:
    out, notes = show.console(), result.data.provenance.notes
    first = [f"note: {note}" for note in notes if is_on_training(note)]
    show.print_lines(out, [*first, ""] if first else [])
    out.print(show.result_table(result, everything=everything, lengths=lengths))
    for table in show.parts_of(result):
        show.print_lines(out, [""])
        out.print(table)
    lines = ["", *legends(result.data), show.summary(result, name, lengths), *remarks_of(result.data, lengths)]
    lines += [f"note: {note}" for note in notes if not is_on_training(note)]
    lines += [f"wrote {path}" for path in written]
    show.print_lines(out, lines)
