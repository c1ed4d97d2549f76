"""Several slurmd on one machine: each name has a state, a stream and a sender of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeagent.voices import Voice, Voices, folder_name, node_name
from tests.unit.nodeagent.conftest import Agent, Machine, StillClock, entries_of


class Quiet:
    """In place of a thread: starting is noted, draining leaves all."""

    def __init__(self) -> None:
        self.started = False

    def start(self) -> None:
        self.started = True

    def drain(self, timeout_s: float) -> bool:
        return timeout_s < 0


class Site:
    """Voices over a recorded machine, with their batches."""

    def __init__(self, machine: Machine, state: Path, clock: StillClock) -> None:
        self.machine, self.state, self.clock = machine, state, clock

    def voice(self, folder: str, **subject: Any) -> Voice:
        path = self.state / folder
        path.mkdir(parents=True, exist_ok=True)
        agent = Agent(self.machine, path, self.clock, **subject)
        sender: Any = Quiet()
        return Voice(agent.rounds, agent.outbox, sender)

    def open(self, known: tuple[str, ...] = (), *, one_name: str | None = None) -> Voices:
        own = self.voice("own", node_name=one_name)
        guest: Callable[[str], Voice] = lambda name: self.voice(  # noqa: E731
            name, node_name=name, is_guest=True
        )
        return Voices(own, None if one_name else guest, known)


def told(voices: Voices) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for voice in voices.all().values():
        while (item := voice.outbox.head()) is not None:
            document = json.loads(voice.outbox.body(item))
            voice.outbox.acknowledge(item)
            ids = [entry["job_id"] for entry in entries_of(document)]
            found.setdefault(document["node"]["name"], []).extend(ids)
    return found


@pytest.fixture
def site(machine: Machine, tmp_path: Path, clock: StillClock) -> Site:
    return Site(machine.replay("v2-sluid-twonode-t0"), tmp_path / "voices", clock)


def test_each_name_speaks_of_its_jobs(site: Site) -> None:
    voices = site.open()
    voices.round()
    own = next(iter(told(voices)))
    site.clock.go(15)
    voices.round()
    assert told(voices) == {own: [], "n1": ["5"], "n2": ["5"]}
    sender: Any = voices.all()["n2"].sender
    assert sender.started
    streams = {voice.outbox._stream for voice in voices.all().values()}
    assert len(streams) == 3
    voices.close()


def test_after_a_restart_the_names_are_spoken_for_at_once_and_by_one_voice(site: Site) -> None:
    first = site.open()
    first.round()
    site.clock.go(15)
    first.round()
    told(first)
    first.close()
    # n2's slurmd is gone: n1 is now the only name in the paths, and still not the machine's own.
    scope = site.machine.paths.cgroup / "system.slice/n2_slurmstepd.scope"
    scope.rename(site.machine.root / "away")
    voices = site.open(("n1", "n2"))
    told(voices)
    site.clock.go(15)
    voices.round()
    assert {name: ids for name, ids in told(voices).items() if ids} == {"n1": ["5"], "n2": ["5"]}
    site.clock.go(15)
    voices.round()
    assert {name: ids for name, ids in told(voices).items() if ids} == {"n1": ["5"]}


def test_one_who_was_told_a_name_speaks_for_no_other(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    voices = site.open(one_name="n2")
    for _ in range(3):
        voices.round()
        voices.tick()
    assert set(told(voices)) == {"n2"}
    assert caplog.text.count("jobs of n1 are not read") == 1


def test_what_the_kernel_says_reaches_the_voice_it_concerns(site: Site) -> None:
    voices = site.open(("n2",))
    voices.round()
    files, readable = voices.handles()
    assert {name.partition("\n")[0] for name in files.values()} == {"n1", "n2"}
    assert {name.partition("\n")[0] for name in readable.values()} == {"", "n1", "n2"}
    voices.glance([*files.values(), *readable.values()])
    assert voices.quick_s() == 0.1
    voices.look_quickly()
    site.clock.go(10)
    assert voices.quick_s() is None
    assert voices.drain(0.1) > 0
    voices.start()
    voices.close()


@pytest.mark.parametrize("name", ["n1", "gpu-1.example.org", "..", "a b%"])
def test_a_name_is_a_folder_and_back(name: str) -> None:
    assert node_name(folder_name(name)) == name
    assert "/" not in folder_name("a/b")
