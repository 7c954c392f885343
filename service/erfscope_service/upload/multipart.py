"""A multipart/form-data body as a stream of parts: no part is ever in memory as a whole."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from erfscope_contract.data_files import MOST_FILES
from erfscope_contract.problem import ProblemError

MAX_PARTS = MOST_FILES + 2  # the files beside a model, the model, the request
MAX_HEADERS = 8
MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class PartBegin:
    """A part starts; its data follows."""

    name: str
    filename: str


@dataclass(frozen=True)
class PartData:
    """The next bytes of the part that started last."""

    data: bytes


@dataclass(frozen=True)
class PartEnd:
    """The part is complete."""


Event = PartBegin | PartData | PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary parameter of a multipart Content-Type."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise ProblemError("bad-request", "The multipart Content-Type has no boundary.")
    return boundary


async def read_parts(stream: AsyncIterable[bytes], boundary: bytes) -> AsyncIterator[Event]:
    """The events of a body, as its bytes come in.

    Raises:
        ProblemError: `bad-request` for a body that is broken, cut short, or has too many parts or headers.
    """
    try:
        collector = _Collector()
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.on_part_begin,
                "on_header_field": collector.on_header_field,
                "on_header_value": collector.on_header_value,
                "on_header_end": collector.on_header_end,
                "on_headers_finished": collector.on_headers_finished,
                "on_part_data": collector.on_part_data,
                "on_part_end": collector.on_part_end,
                "on_end": collector.on_end,
            },
            max_header_count=MAX_HEADERS,
        )
        async for chunk in stream:
            parser.write(chunk)
            for event in collector.take():
                yield event
        parser.finalize()
    except FormParserError as error:
        raise ProblemError("bad-request", f"The multipart body is broken: {error}") from None
    if not collector.has_ended:
        raise ProblemError("bad-request", "The multipart body ends before its closing boundary; send it again whole.")


@dataclass
class _Collector:
    """Turns the parser's callbacks into events; one `take` per chunk of the body."""

    events: list[Event] = field(default_factory=list)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    field_name: bytes = b""
    field_value: bytes = b""
    parts: int = 0
    has_ended: bool = False

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise ProblemError("bad-request", f"The multipart body has more than {MAX_PARTS} parts.")
        self.headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.field_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.field_value += data[start:end]

    def on_header_end(self) -> None:
        self.headers[self.field_name.lower()] = self.field_value
        self.field_name = self.field_value = b""

    def on_headers_finished(self) -> None:
        header = self.headers.get(b"content-disposition", b"").decode("latin-1")
        disposition, options = parse_options_header(header)
        if disposition != b"form-data" or b"name" not in options:
            raise ProblemError("bad-request", "A multipart part has no Content-Disposition with a name.")
        name = options[b"name"].decode("utf-8", "replace")
        self.events.append(PartBegin(name, options.get(b"filename", b"").decode("utf-8", "replace")))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(PartData(data[start:end]))

    def on_part_end(self) -> None:
        self.events.append(PartEnd())

    def on_end(self) -> None:
        self.has_ended = True
