"""Declared fields as JSON schemas, each kind with the bounds that its reader has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingest.fields import Field, kind_schema
from tsobs.openapi import Schema, object_schema

__all__ = ["body_schema"]


def body_schema(fields: Sequence[Field], told: Mapping[str, Schema] | None = None) -> Schema:
    """An object of these fields; `told` has the schemas of those that no kind describes in full.
    Fields that are not declared are ignored, and null and "" are as good as absent."""
    schemas = {
        field.name: _schema(field, (told or {}).get(field.name) or kind_schema(field.kind))
        for field in fields
    }
    required = [field.name for field in fields if field.required]
    return object_schema(schemas, required, is_open=True)


def _schema(field: Field, schema: Schema) -> Schema:
    if not field.required:
        return {"anyOf": [schema, {"enum": [None, ""]}]}
    if schema.get("type") == "string":
        return {"minLength": 1, **schema}
    if schema.get("type") == "array":
        # Empty ones do not count.
        return schema | {"minItems": 1, "contains": {"type": "string", "minLength": 1}}
    return schema
