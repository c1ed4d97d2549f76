from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tsobs.embedded.debian import LAYOUT, MARKER, is_complete


def mark(tree: Path, **changes: object) -> None:
    tree.mkdir(exist_ok=True)
    marker = {"layout": LAYOUT, "path": str(tree), **changes}
    (tree / MARKER).write_text(json.dumps(marker))


def test_a_finished_tree_is_known(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    assert not is_complete(tree)
    tree.mkdir()
    assert not is_complete(tree)
    mark(tree)
    assert is_complete(tree)


@pytest.mark.parametrize("changes", [{"layout": LAYOUT - 1}, {"path": "/elsewhere"}])
def test_one_of_another_layout_or_place_is_not(tmp_path: Path, changes: dict[str, object]) -> None:
    mark(tmp_path / "tree", **changes)
    assert not is_complete(tmp_path / "tree")


def test_a_moved_tree_is_not(tmp_path: Path) -> None:
    mark(tmp_path / "tree")
    shutil.move(tmp_path / "tree", tmp_path / "moved")
    assert not is_complete(tmp_path / "moved")


def test_a_torn_marker_is_not(tmp_path: Path) -> None:
    mark(tmp_path / "tree")
    (tmp_path / "tree" / MARKER).write_text('{"layout": 1, "pa')
    assert not is_complete(tmp_path / "tree")
