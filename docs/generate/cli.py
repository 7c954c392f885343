"""reference/cli.md: every command with its arguments, options and exit codes, from the functions' annotations."""

import inspect
from collections.abc import Callable, Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from docs.generate.table import joined, prose, table
from erfscope.cli import app
from erfscope.cli.commands import EXIT_CODES

HEAD = f"""# Command line

Every command takes `--help`. Colours and tables adapt to the terminal; `--json` prints JSON and nothing else. Shell
completion: `erfscope --install-completion`.

{EXIT_CODES} The gate's own codes stand in [The CI gate](../gate.md#exit-codes)."""
WORDS = {str: "text", int: "whole number", float: "number", bool: ""}
Command = Callable[..., Any]


def cli() -> str:
    """The page, one section for each command."""
    return joined([HEAD, *(_section(name, command) for name, command in _commands(app, "erfscope"))])


def _commands(group: typer.Typer, path: str) -> Iterator[tuple[str, Command]]:
    """Commands and those below them, in their order."""
    for one in group.registered_commands:
        if one.callback is not None:
            yield f"{path} {one.name or one.callback.__name__}", one.callback
    for below in group.registered_groups:
        if below.typer_instance is not None:
            yield from _commands(below.typer_instance, f"{path} {below.name or below.typer_instance.info.name}")


def _section(name: str, command: Command) -> str:
    hints = get_type_hints(command, include_extras=True)
    parameters = list(inspect.signature(command).parameters.values())
    parameters = [one for one in parameters if not getattr(_info(hints[one.name]), "hidden", False)]
    rows = [_row(one.name, one.default, hints[one.name]) for one in parameters]
    arguments = [_in_usage(one, _info(hints[one.name])) for one in parameters if _is_argument(hints[one.name])]
    text = joined(" ".join(part.split()) for part in prose(inspect.getdoc(command) or "").split("\n\n"))
    usage = " ".join([name, "[OPTIONS]", *arguments])
    return joined([
        f"## {name}",
        text,
        f"```text\n{usage}\n```",
        table(("argument or option", "takes", "default", "meaning"), rows),
    ])  # fmt: skip


def _row(name: str, default: Any, hint: Any) -> tuple[str, str, str, str]:
    info = _info(hint)
    variable = f" Environment: `{info.envvar}`." if info.envvar else ""
    return _names(name, info), _takes(hint, info), _default(default), prose(info.help or "") + variable


def _info(hint: Any) -> ArgumentInfo | OptionInfo:
    if get_origin(hint) is Annotated:
        for part in get_args(hint)[1:]:
            if isinstance(part, ArgumentInfo | OptionInfo):
                return part
    raise TypeError(f"{hint} says nothing of itself; annotate it with typer.Option or typer.Argument")


def _is_argument(hint: Any) -> bool:
    return isinstance(_info(hint), ArgumentInfo)


def _in_usage(parameter: inspect.Parameter, info: ArgumentInfo | OptionInfo) -> str:
    """`MODEL`, or `[PATHS…]` of an argument that may be left out."""
    name = _metavar(parameter.name, info)
    return name if parameter.default is inspect.Parameter.empty else f"[{name}]"


def _metavar(name: str, info: ArgumentInfo | OptionInfo) -> str:
    return (info.metavar or name.upper()).translate({ord("["): None, ord("]"): None})


def _names(name: str, info: ArgumentInfo | OptionInfo) -> str:
    if isinstance(info, ArgumentInfo):
        return f"`{_metavar(name, info)}`"
    first = [info.default] if isinstance(info.default, str) and info.default.startswith("-") else []
    said = [*first, *(info.param_decls or ())] or [f"--{name.replace('_', '-')}"]  # typer keeps the first apart
    return ", ".join(f"`{one}`" for one in said)


def _takes(hint: Any, info: ArgumentInfo | OptionInfo) -> str:
    if isinstance(info, OptionInfo) and info.metavar:
        return f"`{info.metavar}`"
    return _kind(get_args(hint)[0])


def _kind(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _kind(next(one for one in get_args(hint) if one is not NoneType))
    if origin is list:
        return f"{_kind(get_args(hint)[0])}, several times"
    if origin is Literal:
        return " · ".join(f"`{one}`" for one in get_args(hint))
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return " · ".join(f"`{one.value}`" for one in hint)
    return WORDS.get(hint, str(hint.__name__).lower())


def _default(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    return "" if default is None or default is False or default == "" else f"`{default}`"
