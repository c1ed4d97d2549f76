"""What a module offers is declared, is there, is documented, and nothing else is taken from it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.meta.sources import PACKAGES, modules, name_of, tree
from tests.meta.test_layout import MANY_NAMES, MAX_PUBLIC_NAMES, relative

MODULES = {name_of(path): path for path in modules()}


def declared(path: Path) -> list[str] | None:
    """The names in `__all__`, or None without one."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            found = ast.literal_eval(node.value)
            assert isinstance(found, list)
            return [str(name) for name in found]
    return None


def defined(path: Path) -> dict[str, ast.stmt]:
    """What a module's top level defines or imports, by name."""
    found: dict[str, ast.stmt] = {}
    for node in tree(path).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found[node.name] = node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    found[(alias.asname or alias.name).split(".")[0]] = node
            case ast.Assign():
                for target in node.targets:
                    for name in ast.walk(target):
                        if isinstance(name, ast.Name):
                            found[name.id] = node
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
            case _:
                pass
    return found


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_what_is_declared_is_there_and_documented(path: Path) -> None:
    names = declared(path)
    if names is None:
        return
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), name.islower(), name))
    there = defined(path)
    for name in names:
        assert name in there, f"__all__ names {name}, which is not there"
        node = there[name]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert ast.get_docstring(node), f"{name} has no docstring"
    if name_of(path) not in MANY_NAMES:
        assert len(names) <= MAX_PUBLIC_NAMES


def taken(path: Path) -> set[tuple[str, str]]:
    """(module, name) of what a file imports by name from the project."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            found |= {(str(node.module), alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_only_what_is_declared_is_taken(path: Path) -> None:
    for module, name in taken(path):
        source = MODULES.get(module)
        if source is None or f"{module}.{name}" in MODULES or source.stem == "__init__":
            continue
        names = declared(source)
        assert names is not None, f"{module} declares no __all__, and {name} is taken from it"
        assert name in names, f"{name} is not in {module}.__all__"
