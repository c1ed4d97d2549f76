from __future__ import annotations

import json
from pathlib import Path

import pytest

from tsobs.demo.client import Client
from tsobs.demo.folder import Folder
from tsobs.demo.options import Options
from tsobs.demo.progress import Progress
from tsobs.demo.resume import open_feeder
from tsobs.errors import SetupError

SMALL = Options(nodes=3, seed=7, history_hours=0.2)
QUIET = Progress(lambda _line: None)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder."""
    return Folder(tmp_path)


async def test_a_cluster_begins_and_goes_on(client: Client, folder: Folder) -> None:
    lines: list[str] = []
    progress = Progress(lines.append)
    first = await open_feeder(SMALL, folder, client, progress)
    assert len(first.world.nodes) == 3
    await first.catch_up()
    second = await open_feeder(Options(), folder, client, progress)
    assert second.world.to_json() == first.world.to_json()
    assert "3 nodes, 0.2 h of history" in lines[0]
    assert "goes on after" in lines[-1]


@pytest.mark.parametrize("other", [Options(nodes=4), Options(seed=8)])
async def test_another_cluster_cannot_go_on_in_its_place(
    client: Client, folder: Folder, other: Options
) -> None:
    await (await open_feeder(SMALL, folder, client, QUIET)).catch_up()
    with pytest.raises(SetupError, match=r"made with --(nodes 3|seed 7): .*--fresh"):
        await open_feeder(other, folder, client, QUIET)
    await open_feeder(SMALL, folder, client, QUIET)


async def test_without_its_note_it_cannot_go_on(client: Client, folder: Folder) -> None:
    await (await open_feeder(SMALL, folder, client, QUIET)).catch_up()
    note = json.loads(folder.simulation.read_text())
    folder.simulation.write_text(json.dumps({**note, "version": 0}))
    with pytest.raises(SetupError, match="--fresh"):
        await open_feeder(SMALL, folder, client, QUIET)
    folder.simulation.unlink()
    with pytest.raises(SetupError, match="--fresh"):
        await open_feeder(SMALL, folder, client, QUIET)


async def test_a_note_without_its_database_is_nothing(client: Client, folder: Folder) -> None:
    folder.simulation.write_text('{"version": 1, "world": "of yesterday"}')
    feeder = await open_feeder(SMALL, folder, client, QUIET)
    assert len(feeder.world.nodes) == 3
