"""The generated classes are those of the .proto files beside them, whose heads say how to make
them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from ingest.remotewrite import remote1_pb2, remote2_pb2
from tests.meta.sources import ROOT

SCALARS = {
    FieldDescriptor.TYPE_DOUBLE: "double", FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64", FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_BYTES: "bytes", FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_SINT32: "sint32", FieldDescriptor.TYPE_SINT64: "sint64",
}  # fmt: skip
DECLARED = re.compile(r"^\s*(repeated )?(\w+) (\w+) = (\d+);$", re.MULTILINE)


def declared(text: str) -> dict[str, set[tuple[str, ...]]]:
    messages = re.split(r"^message (\w+) {$", text, flags=re.MULTILINE)[1:]
    return {
        name: set(DECLARED.findall(body))
        for name, body in zip(messages[::2], messages[1::2], strict=True)
    }


def generated(message: Descriptor) -> set[tuple[str, ...]]:
    return {
        (
            "repeated " if each.is_repeated else "",
            each.message_type.name if each.message_type else SCALARS[each.type],
            each.name,
            str(each.number),
        )
        for each in message.fields
    }


@pytest.mark.parametrize("module", [remote1_pb2, remote2_pb2], ids=["1.0", "2.0"])
def test_the_classes_are_up_to_date(module: Any) -> None:
    text = (ROOT / module.DESCRIPTOR.name).read_text()
    assert f"protoc -I. --python_out=. --pyi_out=. {module.DESCRIPTOR.name}" in text
    there = module.DESCRIPTOR.message_types_by_name
    assert declared(text) == {name: generated(each) for name, each in there.items()}
    assert f"package {module.DESCRIPTOR.package};" in text


def test_histograms_are_the_same_in_both() -> None:
    one, two = (
        generated(module.DESCRIPTOR.message_types_by_name["Histogram"])
        for module in (remote1_pb2, remote2_pb2)
    )
    assert one == two
