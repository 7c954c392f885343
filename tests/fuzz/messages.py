"""Mutations of ONNX models that follow the format's own descriptors: any field of any message, at any depth."""

from collections.abc import Iterator
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import ModelProto
from onnx.defs import get_all_schemas
from tests.fuzz.mutations import EXTREME, HOSTILE_TEXT

MOST_REPEATED = 40
OPERATORS = sorted({schema.name for schema in get_all_schemas()})
INTEGERS = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
BITS = {FieldDescriptor.CPPTYPE_INT32: 31, FieldDescriptor.CPPTYPE_INT64: 63, FieldDescriptor.CPPTYPE_UINT64: 63}
FLOATS = (0.0, -0.0, 1.0, 0.5, -1.0, 1e30, 1e-30, float("inf"), float("nan"))


def mutated(model: ModelProto, random: Random, changes: int) -> bytes:
    """The model's bytes after some changes; the model itself stays as it is."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for _ in range(changes):
        change(random.choice(list(messages(copy))), random)
    return bytes(copy.SerializeToString())


def messages(message: Message) -> Iterator[Message]:
    """A message and all that are inside of it, depth first."""
    yield message
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for inner in value if is_repeated(field) else [value]:
                yield from messages(inner)


def is_repeated(field: Any) -> bool:
    """Whether a field is a list."""
    return bool(field.is_repeated)


def change(message: Message, random: Random) -> None:
    """One field of a message: set, removed, repeated, or in another order; mostly one that has a value."""
    present = [field for field, _ in message.ListFields()]
    fields = present if present and random.random() < 0.75 else message.DESCRIPTOR.fields
    field = random.choice(list(fields))
    if random.random() < 0.15:
        message.ClearField(field.name)
    elif is_repeated(field):
        change_list(getattr(message, field.name), field, random)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, scalar(field, message, random))


def change_list(values: Any, field: Any, random: Random) -> None:
    """A repeated field: an element more, one less, one exchanged, or all in another order."""
    how = random.choice(("add", "double", "remove", "exchange", "turn"))
    place = random.randrange(len(values)) if values else 0
    is_message = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    if how == "remove" and values:
        del values[place]
    elif how == "turn" and values:
        turned = list(values)[::-1]
        del values[:]
        values.extend(turned)
    elif how == "double" and values:
        values.extend([values[place]] * random.choice((1, 2, MOST_REPEATED)))
    elif is_message:
        values.add()
    elif how == "exchange" and values:
        values[place] = scalar(field, None, random)
    else:
        values.append(scalar(field, None, random))


def scalar(field: Any, message: Message | None, random: Random) -> Any:
    """A value for a field of numbers, words or bytes, of the kind that code does not expect."""
    if field.cpp_type in INTEGERS:
        number = random.choice(EXTREME) if random.random() < 0.5 else random.randint(-3, 40)
        limit = 2 ** BITS[field.cpp_type] - 1
        low = 0 if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64 else -limit
        return max(low, min(limit, number))
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return random.choice(field.enum_type.values).number
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random.choice(FLOATS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 3, 4, 8, 64)))
    if field.name == "op_type":
        return random.choice(OPERATORS)
    return random.choice(["x", "y", "a", "w", "b", "s", *HOSTILE_TEXT])
