"""Query parameters: declared in tables, read once, checked, and refused by name and rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from multidict import MultiMapping

from query.paramkinds import ParamKind
from tsobs.errors import InvalidRequest

__all__ = ["Parameter", "read_params", "refused"]


class Parameter(NamedTuple):
    """One parameter of a route."""

    name: str
    kind: ParamKind
    help: str


def read_params(query: MultiMapping[str], declared: Sequence[Parameter]) -> dict[str, Any]:
    """The value of each declared parameter, None when absent or empty. One that is not declared is
    refused, since it would be a typing error; raises InvalidRequest."""
    known = [parameter.name for parameter in declared]
    for name in query:
        if name not in known:
            there = f"these are: {', '.join(known)}" if known else "there are none"
            rule = f"is not a parameter here; {there}"
            raise InvalidRequest(f"parameter {name} {rule}", parameter=name, rule=rule)
        if (count := len(query.getall(name))) > 1:
            raise InvalidRequest(
                f"Expected one value for {name}, got {count}", parameter=name, rule="one value"
            )
    return {parameter.name: _value(query, parameter) for parameter in declared}


def _value(query: MultiMapping[str], parameter: Parameter) -> Any:
    value = query.get(parameter.name)
    if not value:
        return None
    try:
        return parameter.kind.read(value)
    except ValueError as error:
        raise refused(parameter.name, str(error)) from error


def refused(name: str, rule: str) -> InvalidRequest:
    """The refusal of a parameter that breaks a rule."""
    return InvalidRequest(f"Invalid format for parameter {name}: {rule}", parameter=name, rule=rule)
