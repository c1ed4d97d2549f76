"""Every module imports alone, in a new interpreter, without a warning."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.meta.sources import PACKAGES, ROOT, modules, name_of

SERVER = [name for name in PACKAGES if name != "nodeagent"]


def run(*argv: str) -> None:
    done = subprocess.run(
        [sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize("name", [name_of(path) for path in modules(*SERVER)])
def test_a_module_imports_alone(name: str) -> None:
    run("-W", "error", "-c", f"import {name}")


@pytest.mark.parametrize("name", [name_of(path) for path in modules("nodeagent")])
def test_the_agent_needs_the_standard_library_only(name: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"
    run("-I", "-S", "-W", "error", "-c", code)
