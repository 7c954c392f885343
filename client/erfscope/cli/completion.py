"""What a shell offers while a command is typed: models (files, presets) and layers of the model that was given."""

from pathlib import Path
from typing import Any

ENDINGS = (".onnx", ".json")
PRESET = "preset:"


def models(incomplete: str) -> list[str]:
    """Presets, models and folders that begin so."""
    from erfscope_contract.presets import PRESETS

    presets = [name for name in (f"{PRESET}{preset}" for preset in PRESETS) if name.startswith(incomplete)]
    return [*_files(incomplete), *presets]


def layers(ctx: Any, incomplete: str) -> list[str]:
    """Layers of the command's model that begin so; none where no model was given yet, or it cannot be read."""
    # Behind an option that still lacks its value, typer leaves arguments unread.
    given = ctx.params.get("model") or ctx.params.get("models") or list(ctx.args)
    first = given[0] if isinstance(given, list | tuple) and given else given
    try:
        names = _layers_of(str(first)) if first else []
    except Exception:  # a shell that completes a word shows no errors
        return []
    return [name for name in dict.fromkeys(["auto", *names]) if name.startswith(incomplete)]


def _files(incomplete: str) -> list[str]:
    folder, begin = Path(incomplete).parent, Path(incomplete).name
    if incomplete.endswith("/"):
        folder, begin = Path(incomplete), ""
    if not folder.is_dir():
        return []
    prefix = incomplete[: len(incomplete) - len(begin)]
    return [
        f"{prefix}{path.name}{'/' if path.is_dir() else ''}"
        for path in sorted(folder.iterdir())
        if path.name.startswith(begin) and (path.is_dir() or path.suffix.lower() in ENDINGS)
        if begin.startswith(".") or not path.name.startswith(".")
    ]


def _layers_of(model: str) -> list[str]:
    from erfscope._models import read_spec
    from erfscope_contract.architecture.plan import plan
    from erfscope_contract.output_names import outputs_in
    from erfscope_contract.presets import preset

    if model.startswith(PRESET):
        architecture = preset(model.removeprefix(PRESET))
    elif model.lower().endswith(".json"):
        architecture = read_spec(Path(model))
    else:
        return outputs_in(Path(model))
    return [step.name for step in plan(architecture).steps]
