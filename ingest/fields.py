"""Reads the fields of a small JSON object by a declared table, so that each refusal names field
and rule."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tsobs.addresses import CLUSTER
from tsobs.errors import ValidationError

__all__ = ["Field", "kind_schema", "read_fields"]

MAX_TEXT = 1_024
# What identifies is indexed, and an index entry has its limits.
MAX_NAME = 255
MAX_WORD = 64
MAX_ITEMS = 100_000
MIB = 1 << 20
MAX_MEBIBYTES = 10**12
# What a client may say of a job; `unknown` is for us to conclude.
STATES = ("pending", "running", "completed", "failed", "cancelled")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SCHEDULERS = ("slurm", "pbs", "lsf", "local", "mock")


class Field(NamedTuple):
    """One field: its name in JSON, the column it fills (None: none by itself) and its kind; what
    to say when it is missing or breaks the rule of its kind, where older clients know the words."""

    name: str
    column: str | None
    kind: str
    required: bool = False
    missing: str | None = None
    broken: str | None = None


def read_fields(body: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """Checked values by field name; absent and null ones are left out. Raises ValidationError."""
    values: dict[str, Any] = {}
    for field in fields:
        value = body.get(field.name)
        if value is None or value == "":
            if field.required:
                raise ValidationError(
                    field.missing or f"{field.name} is required", field=field.name, rule="required"
                )
            continue
        read, rule, _ = _KINDS[field.kind]
        try:
            values[field.name] = read(value)
        except (ValueError, OverflowError) as error:
            raise ValidationError(
                field.broken or f"{field.name} must be {rule}", field=field.name, rule=rule
            ) from error
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\x00" in value:
        raise ValueError
    return value


def _short(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _text(value)
        if len(text) > most:
            raise ValueError
        return text

    return read


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ValueError
    return sorted({_short(MAX_NAME)(item) for item in value if item != ""})


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 1e15:
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    # 3.0 is the same number as 3.
    is_exact = type(value) is int or (type(value) is float and abs(value) <= 2**53)
    if not is_exact or value != int(value):
        raise ValueError
    return int(value)


def _integer(value: Any) -> int:
    if not -(2**31) <= _whole(value) < 2**31:
        raise ValueError
    return int(value)


def _count(value: Any) -> int:
    if _integer(value) < 0:
        raise ValueError
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _mebibytes(value: Any) -> int:
    # The seeds' MB are MiB.
    number = _number(value)
    if number > MAX_MEBIBYTES:
        raise ValueError
    return int(number * MIB)


def _whole_mebibytes(value: Any) -> int:
    return _mebibytes(_integer(value))


def _percent(value: Any) -> float:
    if _number(value) > 100:
        raise ValueError
    return float(value) / 100


def _cluster(value: Any) -> str:
    if CLUSTER.parse(_text(value)) != value:
        raise ValueError
    return str(value)


def _minutes(value: Any) -> float:
    return _count(value) * 60.0


def _state(value: Any) -> str:
    if value not in STATES:
        raise ValueError
    return str(value)


def _scheduler(value: Any) -> str:
    if value not in SCHEDULERS:
        raise ValueError
    return str(value)


def _long(value: Any) -> int:
    if not -(2**63) <= _whole(value) < 2**63:
        raise ValueError
    return int(value)


def _job_id(value: Any) -> str:
    text = _short(MAX_NAME)(value)
    if _CONTROL.search(text):
        raise ValueError
    return text


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _time(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None or not 1970 <= moment.year < 2200:
        raise ValueError
    return moment.astimezone(UTC)


def _allocations(value: Any) -> list[dict[str, Any]]:
    """[{node, cpus, memory_bytes, gpus}]: what a job holds of each node; `gpus` are their UUIDs."""
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ValueError
    return [_allocation(item) for item in value]


def _allocation(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value.get("node"):
        raise ValueError
    read: dict[str, Any] = {"node": _short(MAX_NAME)(value["node"])}
    for name, kind in (("cpus", _number), ("memory_bytes", _number)):
        if value.get(name) is not None:
            read[name] = kind(value[name])
    gpus = value.get("gpus")
    if isinstance(gpus, list):
        read["gpus"] = _texts(gpus)
    elif gpus is not None:
        _count(gpus)  # which names none of them
    return read


_NO_NULL = r"^[^\u0000]*$"
_NO_CONTROL = r"^[^\u0000-\u001f\u007f]*$"
_PERIOD = "^(19[7-9][0-9]|2[01][0-9]{2})-"  # from 1970 to 2199


class Kind(NamedTuple):
    """`read` raises ValueError for what breaks `rule`; `schema` says the same to programs."""

    read: Callable[[Any], Any]
    rule: str
    schema: dict[str, Any]


def _string(most: int, pattern: str = _NO_NULL) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "pattern": pattern}


def _between(low: int, high: float, type: str = "integer") -> dict[str, Any]:
    return {"type": type, "minimum": low, "maximum": high}


_BOUNDED = "a text of at most {} characters without null"
_KINDS = {
    "text": Kind(_text, _BOUNDED.format(MAX_TEXT), _string(MAX_TEXT)),
    "name": Kind(_short(MAX_NAME), _BOUNDED.format(MAX_NAME), _string(MAX_NAME)),
    "word": Kind(_short(MAX_WORD), _BOUNDED.format(MAX_WORD), _string(MAX_WORD)),
    "texts": Kind(
        _texts,
        f"a list of texts of at most {MAX_NAME} characters",
        {"type": "array", "items": _string(MAX_NAME), "maxItems": MAX_ITEMS},
    ),
    "job_id": Kind(
        _job_id,
        f"a text of at most {MAX_NAME} printable characters",
        _string(MAX_NAME, _NO_CONTROL),
    ),
    "cluster": Kind(
        _cluster, CLUSTER.rule.removeprefix("must be "), _string(64, "^[0-9A-Za-z._-]+$")
    ),
    "number": Kind(_number, "a number from 0 to 1e15", _between(0, 1e15, "number")),
    "integer": Kind(_integer, "an integer of 32 bits", _between(-(2**31), 2**31 - 1)),
    "long": Kind(_long, "an integer of 64 bits", _between(-(2**63), 2**63 - 1)),
    "count": Kind(_count, "an integer of at least 0", _between(0, 2**31 - 1)),
    "boolean": Kind(_boolean, "true or false", {"type": "boolean"}),
    "mebibytes": Kind(
        _mebibytes, "a number of MiB from 0 to 1e12", _between(0, MAX_MEBIBYTES, "number")
    ),
    "whole_mebibytes": Kind(
        _whole_mebibytes, "a whole number of MiB of at least 0", _between(0, 2**31 - 1)
    ),
    "percent": Kind(_percent, "a number from 0 to 100", _between(0, 100, "number")),
    "minutes": Kind(_minutes, "a whole number of minutes of at least 0", _between(0, 2**31 - 1)),
    "state": Kind(_state, f"one of {', '.join(STATES)}", {"enum": [*STATES]}),
    "scheduler": Kind(_scheduler, f"one of {', '.join(SCHEDULERS)}", {"enum": [*SCHEDULERS]}),
    "allocations": Kind(
        _allocations,
        "a list of {node, cpus, memory_bytes, gpus} with numbers and a list of texts",
        {
            "type": "array",
            "maxItems": MAX_ITEMS,
            "items": {
                "type": "object",
                "required": ["node"],
                "properties": {
                    "node": {**_string(MAX_NAME), "minLength": 1},
                    "cpus": {"anyOf": [_between(0, 1e15, "number"), {"type": "null"}]},
                    "memory_bytes": {"anyOf": [_between(0, 1e15, "number"), {"type": "null"}]},
                    "gpus": {
                        "anyOf": [
                            {"type": "null"},
                            _between(0, 2**31 - 1),
                            {"type": "array", "items": _string(MAX_NAME), "maxItems": MAX_ITEMS},
                        ]
                    },
                },
            },
        },
    ),
    "object": Kind(_object, "an object", {"type": "object"}),
    "time": Kind(
        _time,
        "an RFC 3339 time with its zone",
        {"type": "string", "format": "date-time", "pattern": _PERIOD},
    ),
}


def kind_schema(kind: str) -> dict[str, Any]:
    """What a kind takes, as a JSON schema."""
    return _KINDS[kind].schema
