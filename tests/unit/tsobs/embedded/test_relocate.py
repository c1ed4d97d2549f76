from __future__ import annotations

from pathlib import Path

from tsobs.embedded.relocate import relocate


def test_a_tree_of_scripts_and_data_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/script").write_text("#!/bin/sh\n")
    (tmp_path / "usr/bin/script").chmod(0o755)
    (tmp_path / "usr/bin/link").symlink_to("nowhere")
    assert relocate(tmp_path, Path("/final")) == 0
