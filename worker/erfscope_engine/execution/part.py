"""Parts: the box of one output that is wanted, with what it needs of the operands."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from erfscope_engine.execution.box import Box, clipped, cropped_axes, hull
from erfscope_engine.geometry.frame import Frame
from erfscope_engine.operators.site import Out, Site, reads_of
from erfscope_engine.recording.tape import Call, Custom, Ref, Tape

if TYPE_CHECKING:
    from erfscope_engine.fields import Map


@dataclass(frozen=True)
class Part:
    """Output `out` of a call, as far as `box` goes."""

    site: Site
    out: int
    box: Box
    made: Out | None
    geometry: "Map"

    @classmethod
    def of(cls, geometry: "Map", call: Call, out: int, box: Box) -> "Part":
        """The part of a call on a tape whose geometry is known."""
        index = call.outputs[out]
        known = geometry.made.get(index) if index is not None else None
        made = None if known is None or isinstance(call.op, Custom) else known[1]
        return cls(Site(call, geometry.tape, geometry.frames), out, box, made, geometry)

    @property
    def call(self) -> Call:
        """The recorded operator."""
        return self.site.call

    @property
    def tape(self) -> Tape:
        """The tape that it is on."""
        return self.site.tape

    @property
    def name(self) -> str:
        """The operator's ATen name."""
        return self.site.name

    def arg(self, name: str) -> Any:
        """An argument by its schema name, or its default."""
        return self.site.arg(name)

    def shape(self, item: Any) -> tuple[int, ...]:
        """The shape of an operand, recorded or constant."""
        return self.site.shape(item)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of the output."""
        return self.site.out_shape(self.out)

    @property
    def writes(self) -> tuple[tuple[int | None, Box], ...]:
        """The outputs of a step that gives this one alone."""
        return tuple((index if k == self.out else None, self.box) for k, index in enumerate(self.call.outputs))

    @property
    def cropped(self) -> set[int]:
        """The axes of which it does not hold everything."""
        return cropped_axes(self.box, self.out_shape)

    @cached_property
    def needs(self) -> dict[int, Box | None]:
        """Operand → the box that is needed of it, which may stick out; None where nothing is."""
        boxes: dict[int, Box | None] = {}
        for index, box in reads_of(self.made, self.box, self.frames) if self.made else []:
            known = boxes.get(index)
            boxes[index] = known if box is None else hull(known, box)
        return boxes

    @property
    def frames(self) -> Mapping[int, Frame]:
        """The frames of all values."""
        return self.site.frames

    def need(self, ref: Ref) -> Box | None:
        """What is needed of an operand, unclipped."""
        return self.needs.get(ref.index)

    def read(self, ref: Ref) -> Box | None:
        """What is needed of an operand, cut to it."""
        box = self.need(ref)
        return None if box is None else clipped(box, self.shape(ref))

    def is_read(self, out: int) -> bool:
        """Whether anything reads another output of the call."""
        index = self.call.outputs[out]
        return index is not None and index in self.tape.readers
