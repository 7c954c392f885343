"""reference/sdk.md: every public name of `erfscope`, from its signature and docstring."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import erfscope
from docs.generate.schemas import homes, link
from docs.generate.table import joined, prose, table
from erfscope import errors, training

HEAD = """# Python

`import erfscope` loads neither torch nor a server. Everything below is public; what is not here may change."""
CLIENTS = ("Client", "AsyncClient")
HANDLES = ("JobHandle", "SeriesHandle", "Result", "Comparison", "compare")
TWINS = {"AsyncJobHandle": "JobHandle", "AsyncSeriesHandle": "SeriesHandle", "AsyncResult": "Result"}
TRAINING = ("ErfTracker", "lightning_callback", "transformers_callback")


def sdk() -> str:
    """The page: clients, what they hand out, errors, wire models, training."""
    from erfscope._client import Files, Models

    return joined([
        HEAD,
        "## Clients",
        *(thing(name, getattr(erfscope, name), "erfscope") for name in CLIENTS),
        thing("Client.models", Models, "erfscope"),
        thing("Client.files", Files, "erfscope"),
        "## Jobs and results",
        *(thing(name, getattr(erfscope, name), "erfscope") for name in HANDLES),
        "The twins with `await`: " + ", ".join(f"`{twin}` of `{name}`" for twin, name in TWINS.items()) + ".",
        "## Errors",
        _errors(),
        "## Wire models",
        _models(),
        "## Training",
        *(thing(name, getattr(training, name), "erfscope.training") for name in TRAINING),
        "## Tests",
        "The pytest plugin (fixture `erf`, marker `erf`) is described in [The CI gate](../gate.md#pytest).",
    ])  # fmt: skip


def thing(name: str, subject: Any, module: str, *, called: bool = True) -> str:
    """A heading, the signature of what is called, the docstring and the public members of a class or a function."""
    head = f"### {name}"
    if called and "." not in name:  # nobody makes those by hand
        head += f"\n\n```python\n{_signature(name, subject)}\n```"
    origin = f"From `{module}`." if module != "erfscope" else ""
    members = [_member(*one) for one in _members(subject)] if inspect.isclass(subject) else []
    return joined([head, origin, _text(subject), table(("member", "does"), members)])


def _signature(name: str, thing: Any) -> str:
    """As it is written, one parameter a line where it is long."""
    shown = inspect.signature(thing, eval_str=False)
    parameters = [str(one).replace("'", "") for one in shown.parameters.values()]
    if any(one.kind is inspect.Parameter.KEYWORD_ONLY for one in shown.parameters.values()):
        at = next(n for n, one in enumerate(shown.parameters.values()) if one.kind is inspect.Parameter.KEYWORD_ONLY)
        parameters.insert(at, "*")
    line = f"{name}({', '.join(map(_short, parameters))})"
    return line if len(line) <= 100 else f"{name}(\n    " + ",\n    ".join(map(_short, parameters)) + ",\n)"


def _short(text: str) -> str:
    """Annotations without the modules that hold them; functions without their addresses."""
    text = re.sub(r"<function .*? at 0x[0-9a-f]+>", "…", text)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text)


def _members(thing: type) -> Iterator[tuple[str, Any]]:
    for owner in reversed(thing.__mro__[:-1]):
        if owner.__module__.startswith("erfscope"):
            for name, member in vars(owner).items():
                if not name.startswith("_") and (
                    callable(member) or isinstance(member, property) or _is_cached(member)
                ):
                    yield name, member


def _is_cached(member: Any) -> bool:
    return hasattr(member, "attrname")  # functools.cached_property


def _member(name: str, member: Any) -> tuple[str, str]:
    if isinstance(member, property) or _is_cached(member):
        return f"`{name}`", prose(inspect.getdoc(member) or "")
    parameters = [one for one in inspect.signature(member).parameters if one != "self"]
    return f"`{name}({', '.join(parameters)})`", prose(inspect.getdoc(member) or "")


def _text(thing: Any) -> str:
    return prose(inspect.getdoc(thing) or "")


def _errors() -> str:
    names = [name for name in erfscope.__all__ if inspect.isclass(getattr(erfscope, name))]
    own = [getattr(erfscope, name) for name in names if issubclass(getattr(erfscope, name), Exception)]
    rows = [(f"`erfscope.{one.__name__}`", _base(one), _text(one)) for one in own]
    kinds = [getattr(errors, name) for name in errors.__all__ if inspect.isclass(getattr(errors, name))]
    rows += [(f"`erfscope.errors.{one.__name__}`", _base(one), _text(one)) for one in kinds if one not in own]
    return table(("exception", "is a", "means"), rows)


def _base(one: type) -> str:
    """The nearest base with a public name."""
    return next(base.__name__ for base in one.__mro__[1:] if not base.__name__.startswith("_"))


def _models() -> str:
    names = [name for name in erfscope.__all__ if name in homes() or name == "Status"]
    rows = [(f"`erfscope.{name}`", link(name), _text(getattr(erfscope, name))) for name in names]
    return table(("model", "fields", "is"), rows)
