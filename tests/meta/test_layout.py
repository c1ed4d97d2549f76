"""Names and sizes of files and functions; every module has its tests. The exceptions are few."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.meta.sources import PACKAGES, ROOT, modules, name_of, tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PUBLIC_NAMES = 6

# Bags of things that belong elsewhere.
BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "lib", "base", "stuff"}
# Lists by nature: the error tree and the table of columns.
MANY_NAMES = {"tsobs.errors", "tsobs.columns"}
# Modules without logic of their own, and the tests that would notice a change in them.
TESTED_ELSEWHERE = {
    "tsobs.errors": "tests/unit/tsobs/test_answers.py",
    "ingest.remotewrite.remote1_pb2": "tests/unit/ingest/remotewrite/test_pb2.py",
    "ingest.remotewrite.remote2_pb2": "tests/unit/ingest/remotewrite/test_pb2.py",
    "tsobs.row": "tests/unit/tsobs/jobs/test_jobobject.py",
}

EVERY = [*modules(), *sorted((ROOT / "tests").rglob("*.py"))]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", EVERY, ids=relative)
def test_a_file_is_named_for_what_it_holds_and_can_be_read_at_once(path: Path) -> None:
    assert not BANNED & set(path.stem.removeprefix("test_").split("_"))
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_FILE_LINES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(tree(path))
    assert docstring
    assert docstring.split("\n\n")[0].rstrip().endswith((".", ":"))


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_a_module_has_its_tests(path: Path) -> None:
    if path.stem.startswith("__"):
        return
    name = name_of(path)
    if name in TESTED_ELSEWHERE:
        return
    unit = ROOT / "tests" / "unit" / path.relative_to(ROOT).parent / f"test_{path.stem}.py"
    other = [
        found
        for kind in ("integration", "acceptance")
        for found in (ROOT / "tests" / kind).rglob(f"test_{path.stem}.py")
    ]
    assert unit.is_file() or other, f"{relative(unit)} is missing"


def test_the_exceptions_are_still_needed() -> None:
    names = {name_of(path) for path in modules()}
    assert set(TESTED_ELSEWHERE) <= names
    assert all((ROOT / test).is_file() for test in TESTED_ELSEWHERE.values())
    assert names >= MANY_NAMES
    assert all((ROOT / package).is_dir() for package in PACKAGES)
