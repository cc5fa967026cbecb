"""``market_data_feed.proto`` says what the provider sends; what is read of it agrees with it."""

import re
from pathlib import Path
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tapewire.providers.upstox import schema
from tapewire.providers.upstox.messages import MARKET_STATUS, FrameKind

FILE = Path(schema.__file__).with_name("market_data_feed.proto")
BLOCK = re.compile(r"^(message|enum) (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^ +(repeated )?([\w.]+|map<\w+, \w+>) (\w+) = (\d+);", re.MULTILINE)
VALUE = re.compile(r"^ +(\w+) = (\d+);", re.MULTILINE)
ONE_OF = re.compile(r"^ +oneof \w+ \{\n(.*?)^ +\}", re.MULTILINE | re.DOTALL)


class Described(NamedTuple):
    """A field as the description has it."""

    kind: str
    is_repeated: bool
    is_one_of: bool


class Description:
    """Messages by name and field number, and the values of enums."""

    def __init__(self, text: str) -> None:
        self.messages: dict[str, dict[int, Described]] = {}
        self.enums: dict[str, dict[int, str]] = {}
        for kind, name, body in BLOCK.findall(text):
            if kind == "enum":
                self.enums[name] = {int(number): value for value, number in VALUE.findall(body)}
            else:
                self.messages[name] = self._fields(body)

    def _fields(self, body: str) -> dict[int, Described]:
        either = {number for one in ONE_OF.findall(body) for *_, number in FIELD.findall(one)}
        fields = {}
        for repeated, kind, _, number in FIELD.findall(body):
            if pair := re.fullmatch(r"map<(\w+), (\w+)>", kind):
                # What a map is on the wire: repeated messages of a key and a value.
                self.messages[kind] = {
                    at: Described(of, False, False) for at, of in enumerate(pair.groups(), 1)
                }
            is_repeated = bool(repeated) or kind.startswith("map<")
            fields[int(number)] = Described(kind, is_repeated, number in either)
        return fields

    def is_read_as(self, kind: str, number: int) -> bool:
        """Whether a kind is read as this type: enums as integers, strings as bytes."""
        plain = {
            "double": FieldDescriptor.TYPE_DOUBLE,
            "int64": FieldDescriptor.TYPE_INT64,
            "string": FieldDescriptor.TYPE_BYTES,
        }
        usual = FieldDescriptor.TYPE_INT32 if kind in self.enums else FieldDescriptor.TYPE_MESSAGE
        return bool(plain.get(kind, usual) == number)


DESCRIPTION = Description(FILE.read_text())


def differences(ours: Descriptor, theirs: str) -> list[str]:
    """Where a message that is read, and those within it, are not as described."""
    found = []
    for field in ours.fields:
        place = f"{ours.name}.{field.name} ({theirs}, {field.number})"
        described = DESCRIPTION.messages[theirs].get(field.number)
        read = Described(theirs, field.is_repeated, field.containing_oneof is not None)
        if described is None or described._replace(kind=theirs) != read:
            found.append(f"{place}: {described}")
        elif not DESCRIPTION.is_read_as(described.kind, field.type):
            found.append(f"{place}: {described.kind}")
        elif field.message_type is not None:
            found += differences(field.message_type, described.kind)
    return found


def test_what_is_read_is_as_described() -> None:
    assert differences(schema.Frame.DESCRIPTOR, "FeedResponse") == []


def test_another_number_or_type_would_be_seen() -> None:
    assert differences(schema.Entry.DESCRIPTOR, "FirstLevelWithGreeks")
    assert differences(schema.Frame.DESCRIPTOR, "Feed")


def test_the_words_for_numbers_are_as_described() -> None:
    assert {kind.value: kind.name.lower() for kind in FrameKind} == DESCRIPTION.enums["Type"]
    assert dict(enumerate(MARKET_STATUS)) == DESCRIPTION.enums["MarketStatus"]
