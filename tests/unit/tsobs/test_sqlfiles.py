"""Finding `sql/` and reading named statements from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tsobs import sqlfiles
from tsobs.sqlfiles import parse, queries, query, sql_root


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty `sql/queries` that statements are read from."""
    (tmp_path / "queries").mkdir()
    monkeypatch.setattr(sqlfiles, "sql_root", lambda: tmp_path)
    queries.cache_clear()
    yield tmp_path / "queries"
    queries.cache_clear()


def test_statements_by_name() -> None:
    text = "-- About both.\n\n-- name: one\nselect 1\n\n-- name: two_2\n-- $1 n\nselect\n  $1\n"
    assert parse(text) == {"one": "select 1", "two_2": "-- $1 n\nselect\n  $1"}


def test_what_is_before_the_first_name_is_no_statement() -> None:
    assert parse("-- only a remark\n") == {}


@pytest.mark.parametrize("header", ["-- name: One", "--name: one", " -- name: one", "-- name: a b"])
def test_a_header_has_one_form(header: str) -> None:
    assert parse(f"{header}\nselect 1\n") == {}


def test_one_name_twice_in_a_file() -> None:
    with pytest.raises(ValueError, match="two statements are named one"):
        parse("-- name: one\nselect 1\n-- name: one\nselect 2\n")


def test_one_name_in_two_files(folder: Path) -> None:
    (folder / "a.sql").write_text("-- name: one\nselect 1\n")
    (folder / "b.sql").write_text("-- name: one\nselect 2\n")
    with pytest.raises(ValueError, match=r"b\.sql: another file has a statement named one"):
        queries()


def test_a_query_by_name(folder: Path) -> None:
    (folder / "a.sql").write_text("-- name: one\nselect 1\n")
    assert query("one") == "select 1"
    with pytest.raises(KeyError, match="two"):
        query("two")


def test_the_folder_of_a_checkout() -> None:
    root = sql_root()
    assert root == Path(__file__).resolve().parents[3] / "sql"
    assert {path.name for path in root.iterdir()} >= {"migrations", "functions", "views", "queries"}


def test_the_folder_of_an_installed_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "tsobs" / "sql"
    packed.mkdir(parents=True)
    monkeypatch.setattr(sqlfiles, "__file__", str(tmp_path / "tsobs" / "sqlfiles.py"))
    assert sql_root() == packed
    packed.rmdir()
    assert sql_root() == tmp_path / "sql"


def test_every_statement_is_one_statement() -> None:
    """The driver prepares them, which a second statement would prevent."""
    for name, text in queries().items():
        bare = re.sub(r"--.*|'[^']*'", "", text)
        assert ";" not in bare, name
        assert bare.strip(), name
