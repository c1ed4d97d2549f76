"""SQL lives in `sql/`: named statements are all used and all there, and Python holds none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.sources import modules, texts, tree
from tests.meta.test_layout import relative
from tsobs.sqlfiles import queries

SERVICE = modules("tsobs", "ingest", "query")
RUNS_A_STATEMENT = {"fetch", "fetchrow", "fetchval", "execute", "query", "cursor"}

SQL = re.compile(
    r"""\s*(
        select\s[^.]*\sfrom\s | select\s+[\w.]+\( | insert\s+into\s | update\s+\S+\s+set\s
        | delete\s+from\s | copy\s+\S+\s+(from|to)\s+(stdin|stdout|program|') | with\s+\w+\s+as\s*\(
        | (create|alter|drop)\s+(or\s+replace\s+)?(table|view|function|role|schema|index|extension
            |trigger|type|temp|unique|database)\b(?!\s*,)
        | set\s+(local|role|session)\s | truncate\s
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def composed(path: Path) -> Iterator[re.Pattern[str]]:
    """Names made of a prefix and something else, as in `f"add_{target}"`."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.JoinedStr(values=[ast.Constant(value=str(prefix)), ast.FormattedValue()]):
                if re.fullmatch("[a-z]+_", prefix):
                    yield re.compile(prefix + "[a-z0-9_]+")
            case _:
                pass


def test_every_statement_is_used() -> None:
    said = {str(constant.value) for path in SERVICE for constant in texts(path)}
    patterns = [pattern for path in SERVICE for pattern in composed(path)]
    unused = {
        name
        for name in set(queries()) - said
        if not any(pattern.fullmatch(name) for pattern in patterns)
    }
    assert not unused


@pytest.mark.parametrize("path", SERVICE, ids=relative)
def test_every_statement_that_is_used_is_there(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        match node.func:
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in RUNS_A_STATEMENT:
                pass
            case _:
                continue
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            assert first.value in queries(), f"line {node.lineno}: {first.value}"


# What PostgreSQL's own messages and ours say about statements is no statement.
PROSE = {"create the database, or correct DATABASE_URL"}


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_there_is_no_sql_in_python(path: Path) -> None:
    for constant in texts(path):
        text = str(constant.value)
        assert not SQL.match(text) or text in PROSE, f"line {constant.lineno}: {text[:60]!r}"


@pytest.mark.parametrize(
    "text",
    ["select 1 from x", "SELECT f(1)", "insert into x values", "update x set y", "drop table x",
     "create or replace function f", "create temp table x", "with a as (select 1)"],
)  # fmt: skip
def test_the_pattern_finds_sql(text: str) -> None:
    assert SQL.match(text)


@pytest.mark.parametrize(
    "text",
    ["create the database", "drop what is past its retention", "select one of these",
     "update the agent", "with nothing", "copy it from there"],
)  # fmt: skip
def test_the_pattern_knows_prose(text: str) -> None:
    assert not SQL.match(text)
