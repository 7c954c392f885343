"""Every help text of the command line: a sentence that says the default, and the unit of what has one."""

import inspect
import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.models import ArgumentInfo, OptionInfo

from erfscope.cli import app


def parameters(group: typer.Typer, path: str = "erfscope") -> Iterator[tuple[str, Any, OptionInfo | ArgumentInfo]]:
    """Command and parameter, its default in Python, and what typer is told."""
    for command in group.registered_commands:
        assert command.callback is not None
        hints = get_type_hints(command.callback, include_extras=True)
        for one in inspect.signature(command.callback).parameters.values():
            assert get_origin(hints[one.name]) is Annotated, f"{path} {one.name}"
            info = next(part for part in get_args(hints[one.name])[1:] if isinstance(part, OptionInfo | ArgumentInfo))
            yield f"{path} {command.name or command.callback.__name__} {one.name}", one.default, info
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from parameters(below.typer_instance, f"{path} {below.typer_instance.info.name}")


ALL = list(parameters(app))


@pytest.mark.parametrize(("default", "info"), [pytest.param(d, i, id=name) for name, d, i in ALL])
def test_a_help_text_is_a_sentence_with_its_default(default: Any, info: OptionInfo | ArgumentInfo) -> None:
    text = info.help or ""
    assert text.endswith("."), text
    assert "; (" not in text, text
    assert not re.match(r"Of |For |By |Which |How (?!many)|Where (?!the samples)", text), (
        f"not a noun or a verb: {text}"
    )
    is_required = default is inspect.Parameter.empty
    is_shown = default not in (None, False, "")  # typer appends it
    if not is_required and not is_shown:
        assert re.search(r"\(default:? ", text), text


@pytest.mark.parametrize("info", [pytest.param(i, id=name) for name, _, i in ALL if isinstance(i, ArgumentInfo)])
def test_an_argument_that_may_be_several_says_so(info: ArgumentInfo) -> None:
    assert info.metavar is None or not info.metavar.isupper() or not info.metavar.endswith("S"), (
        f"{info.metavar}: write {info.metavar}…"
    )


def test_there_are_many() -> None:
    assert len(ALL) > 100
