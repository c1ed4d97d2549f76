"""Runs the agent with `python -m nodeagent`, and from an archive made by `python -m zipapp
nodeagent`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def _be_the_package() -> None:
    """Stand in for the package where this folder is the root of an archive."""
    root = importlib.import_module("__init__")
    root.__path__ = [str(Path(__file__).parent)]
    sys.modules["nodeagent"] = root


if __name__ == "__main__":
    if not __package__:
        _be_the_package()
    from nodeagent.main import main

    sys.exit(main())
