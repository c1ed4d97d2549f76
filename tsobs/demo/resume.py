"""Whether the simulated cluster begins or goes on: what the note and the database say together."""

from __future__ import annotations

import asyncio
import time

from tsobs.demo.client import Client
from tsobs.demo.feeder import VERSION, Feeder
from tsobs.demo.folder import Folder
from tsobs.demo.notes import read_note
from tsobs.demo.options import Options
from tsobs.demo.progress import Progress
from tsobs.demo.simulation.cluster import CLUSTER
from tsobs.demo.simulation.world import World
from tsobs.errors import SetupError

__all__ = ["open_feeder"]

_NODES, _SEED, _HISTORY_HOURS = 20, 1, 24.0
# After a pause less is filled, so that the start stays quick.
_PAUSE_HOURS = 3.0
_MINUTE_S = 60
# A start takes a while, and the past that is to be filled must not become too long by it.
_GAP_MARGIN_S = 600


async def open_feeder(
    options: Options, folder: Folder, client: Client, progress: Progress
) -> Feeder:
    """A feeder for a new cluster, or for the one that is there; raises SetupError when what is
    there cannot go on, or is not what was asked for."""
    note = await asyncio.to_thread(read_note, folder.simulation)
    is_in_database = (await client.get(f"/v1/nodes?cluster={CLUSTER}&limit=1"))["total"] > 0
    if is_in_database and (note is None or note.get("version") != VERSION):
        raise SetupError(
            f"the simulated cluster in {folder.path} cannot go on: its note is missing or of "
            "another version. Begin anew with tsobs demo --fresh"
        )
    if note is None or not is_in_database:
        hours = _HISTORY_HOURS if options.history_hours is None else options.history_hours
        world = _new_world(options, hours)
        progress(f"simulated cluster: {len(world.nodes)} nodes, {hours:g} h of history")
        return Feeder(world, client, folder.simulation, progress, longest_gap_s=_gap_s(hours))
    world = World.from_json(note["world"])
    _check_same(options, world)
    progress(f"simulated cluster: goes on after {_pause(time.time() - world.at)}")
    hours = _PAUSE_HOURS if options.history_hours is None else options.history_hours
    feeder = Feeder(world, client, folder.simulation, progress, longest_gap_s=_gap_s(hours))
    feeder.restore(note)
    return feeder


def _gap_s(hours: float) -> int:
    return int(hours * 3600) + _GAP_MARGIN_S


def _new_world(options: Options, hours: float) -> World:
    begin = int((time.time() - hours * 3600) // _MINUTE_S) * _MINUTE_S
    return World(
        _NODES if options.nodes is None else options.nodes,
        _SEED if options.seed is None else options.seed,
        begin,
    )


def _check_same(options: Options, world: World) -> None:
    asked = ((options.nodes, len(world.nodes), "nodes"), (options.seed, world.seed, "seed"))
    for wanted, there, name in asked:
        if wanted is not None and wanted != there:
            raise SetupError(
                f"the simulated cluster that is there was made with --{name} {there}: go on with "
                "that, or begin anew with --fresh"
            )


def _pause(length_s: float) -> str:
    for unit_s, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if length_s >= 2 * unit_s:
            return f"{length_s / unit_s:.0f} {unit}"
    return f"{max(length_s, 0):.0f} s"
