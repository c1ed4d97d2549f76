"""Who the agent speaks for: each source of a name in its turn."""

from __future__ import annotations

import os

import pytest

from nodeagent import identity
from nodeagent.identity import Identity, node_identity
from tests.unit.nodeagent.conftest import Machine

NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> str:
    real = os.uname()
    fake = os.uname_result((real.sysname, "c1.example.org", *real[2:]))
    monkeypatch.setattr(os, "uname", lambda: fake)
    return "c1"


def find(
    setting: str | None = None,
    aliases: tuple[str, ...] = (),
    in_cgroups: frozenset[str] = NOTHING,
    learned: str | None = None,
    slurmd: str | None = None,
) -> Identity:
    return node_identity(
        setting=setting, aliases=aliases, in_cgroups=in_cgroups, learned=learned, slurmd=slurmd
    )


def test_each_source_in_its_turn(host: str) -> None:
    assert find().name == host
    assert find(slurmd="d").name == "d"
    assert find(slurmd="d", learned="l").name == "l"
    assert find(slurmd="d", learned="l", in_cgroups=frozenset({"g"})).name == "g"
    assert find(slurmd="d", in_cgroups=frozenset({"g"}), setting="s").name == "s"


def test_the_names_of_the_host_become_aliases(host: str) -> None:
    found = find(setting="n1", aliases=("ib1",))
    assert found.aliases == ("c1", "c1.example.org", "ib1")
    assert find().aliases == ("c1.example.org",)


def test_with_several_slurmd_only_the_own_jobs_are_read(host: str) -> None:
    found = find(in_cgroups=frozenset({"n1", "n2"}), learned="n2")
    assert found.name == "n2"
    assert found.owns("n2")
    assert found.owns(None)
    assert not found.owns("n1")


def test_a_long_name_owns_the_short_one_and_the_aliases(host: str) -> None:
    found = find(setting="n1.example.org", aliases=("alias",))
    assert [found.owns(name) for name in ("n1", "alias", "n1.example.org", "n2")] == [
        True,
        True,
        True,
        False,
    ]


def test_the_machine_id_is_a_digest_of_the_systems(machine: Machine) -> None:
    found = identity.machine_id(machine.paths)
    assert found is not None
    assert len(found) == 32
    assert found != "0123456789abcdef0123456789abcdef"
    assert found == identity.machine_id(machine.paths)


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0123", "é" * 32])
def test_no_machine_id(machine: Machine, text: str) -> None:
    machine.write("etc/machine-id", text)
    assert identity.machine_id(machine.paths) is None
    (machine.paths.etc / "machine-id").unlink()
    assert identity.machine_id(machine.paths) is None


def test_the_boot_id(machine: Machine) -> None:
    assert identity.boot_id(machine.paths) == "boot-1"
    (machine.paths.proc / "sys/kernel/random/boot_id").unlink()
    assert identity.boot_id(machine.paths) == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ClusterName=alpha\n", "alpha"),
        ("#ClusterName=no\n  clustername = beta # ours\n", "beta"),
        ("SlurmctldHost=x\n", None),
    ],
)
def test_the_cluster_is_in_slurm_conf(machine: Machine, text: str, name: str | None) -> None:
    assert identity.cluster_name(machine.paths) is None
    machine.write("etc/slurm/slurm.conf", text)
    assert identity.cluster_name(machine.paths) == name


def test_a_configless_slurmd_keeps_its_file_elsewhere(machine: Machine) -> None:
    machine.write("run/slurm/conf/slurm.conf", "ClusterName=gamma\n")
    assert identity.cluster_name(machine.paths) == "gamma"


def test_slurmd_may_say_its_name(machine: Machine) -> None:
    machine.write("proc/10/cmdline", "/usr/sbin/slurmd\0-D\0-N\0n7\0")
    machine.write("proc/11/cmdline", "slurmstepd: [1.batch]\0")
    machine.write("proc/12/cmdline", "")
    machine.write("proc/uptime", "1 1")
    assert identity.slurmd_name(machine.paths) == "n7"
    machine.write("proc/13/cmdline", "slurmd\0-N\0n8\0")
    assert identity.slurmd_name(machine.paths) is None
