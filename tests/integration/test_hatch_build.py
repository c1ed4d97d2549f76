"""The package is built with a compiled kernel where a compiler is, and without one elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hatch_build
from tests.meta.sources import ROOT, project_files

BUILT = ("tsobs", "ingest", "query", "nodeagent", "sql")
KERNEL = "ingest/remotewrite/_kernel.abi3.so"
has_compiler = hatch_build.compiler_reason() == ""
with_compiler = pytest.mark.parametrize("compiler", [""] if has_compiler else [])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for path in project_files():
        name = path.relative_to(ROOT)
        if name.parts[0] in BUILT or len(name.parts) == 1:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
    return folder


def run(tree: Path, compiler: str, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=tree,
        env=os.environ | {"CC": compiler},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def build(tree: Path, compiler: str) -> tuple[str, list[str], str]:
    """The wheel's name, its files, and what was said."""
    said = run(tree, compiler, "-m", "hatchling", "build", "-t", "wheel")
    [wheel] = (tree / "dist").iterdir()
    return wheel.name, zipfile.ZipFile(wheel).namelist(), said


@with_compiler
def test_with_a_compiler_the_wheel_has_the_kernel(tree: Path, compiler: str) -> None:
    name, files, _ = build(tree, compiler)
    assert "-cp311-abi3-linux_" in name
    assert KERNEL in files


@pytest.mark.parametrize("compiler", ["/bin/false", "/nowhere/cc", "/bin/true"])
def test_without_one_the_wheel_is_pure_and_the_build_says_so(tree: Path, compiler: str) -> None:
    # What an older source was compiled to is not taken along.
    (tree / KERNEL).write_bytes(b"old")
    name, files, said = build(tree, compiler)
    assert name.endswith("-py3-none-any.whl")
    assert KERNEL not in files
    assert not (tree / KERNEL).exists()
    assert "no compiled decode kernel, the pure one is used" in said


@with_compiler
def test_an_editable_install_leaves_the_kernel_in_the_tree(tree: Path, compiler: str) -> None:
    code = "from hatchling.build import build_editable; build_editable('dist')"
    run(tree, compiler, "-c", code)
    assert (tree / KERNEL).stat().st_size > 10_000


@with_compiler
def test_make_compiles_again_when_the_source_changed(tree: Path, compiler: str) -> None:
    assert "compiled" in run(tree, compiler, "hatch_build.py")
    assert run(tree, compiler, "hatch_build.py") == ""
    source = tree / "ingest" / "remotewrite" / "kernel.c"
    os.utime(source, (2**31, 2**31))
    assert "compiled" in run(tree, compiler, "hatch_build.py")
    source.write_text("no C")
    assert "the pure one is used" in run(tree, compiler, "hatch_build.py")
    assert not (tree / KERNEL).exists()
