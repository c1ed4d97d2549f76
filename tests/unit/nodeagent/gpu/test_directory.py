"""Every name leads to the device that the driver says, whatever order anything is listed in."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.gpu.device import Device
from nodeagent.gpu.directory import Directory
from nodeagent.paths import Paths


def nvidia(n: int, minor: int | None, ordinal: int, **more: object) -> Device:
    device = Device(f"GPU-0000000{n}-x", "nvidia", "H100", f"0000:1{n}:00.0", minor, ordinal, None)
    return device._replace(**more)  # type: ignore[arg-type]


def roots(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "cgroup", tmp_path / "proc", tmp_path / "sys", tmp_path / "etc")


NOWHERE = Paths(*(Path("/nonexistent"),) * 4)


@given(st.permutations(range(8)), st.permutations(range(8)), st.permutations(range(8)))
def test_numbers_go_by_minor_whatever_nvml_and_cuda_count(
    minors: list[int], ordinals: list[int], order: list[int]
) -> None:
    devices = [nvidia(n, minors[n], ordinals[n]) for n in range(8)]
    directory = Directory(NOWHERE, [devices[n] for n in order])
    for n in range(8):
        uuid = devices[n].uuid
        assert directory.numbered(minors[n]) == uuid
        assert directory.allowed([(195, minors[n]), (195, 255), (195, 254)]) == {uuid}
        assert directory.indexed(str(ordinals[n])) == uuid
        assert directory.named(uuid) == directory.named(f"00000000:1{n}:00.0") == uuid


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_without_a_minor_from_nvml_the_kernel_modules_files_say_it(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    paths = roots(tmp_path)
    for n, minor in enumerate(order):
        folder = paths.proc / f"driver/nvidia/gpus/0000:1{n}:00.0"
        folder.mkdir(parents=True)
        text = f"GPU UUID: \t GPU-0000000{n}-x\nDevice Minor: \t {minor}\n"
        (folder / "information").write_text(text)
    directory = Directory(paths, [nvidia(n, None, n) for n in range(3)])
    assert [directory.numbered(minor) for minor in order] == [f"GPU-0000000{n}-x" for n in range(3)]


def test_a_minor_that_two_sources_give_to_two_devices_is_nobodys(tmp_path: Path) -> None:
    paths = roots(tmp_path)
    folder = paths.proc / "driver/nvidia/gpus/0000:11:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("GPU UUID: \t GPU-00000001-x\nDevice Minor: \t 0\n")
    directory = Directory(paths, [nvidia(0, 0, 0), nvidia(1, 1, 1)])
    assert directory.numbered(0) is None
    assert directory.numbered(1) == "GPU-00000001-x"


def test_nothing_is_found_by_place() -> None:
    directory = Directory(NOWHERE, [nvidia(0, None, 0), nvidia(1, None, 1)])
    assert [directory.numbered(n) for n in range(3)] == [None] * 3
    assert directory.allowed([(195, 0), (195, 1)]) == frozenset()


def test_the_beginning_of_a_uuid_is_enough_where_it_is_one_devices() -> None:
    directory = Directory(NOWHERE, [nvidia(0, 0, 0), nvidia(1, 1, 1)])
    assert directory.named("GPU-00000001") == "GPU-00000001-x"
    assert directory.named("GPU-0000000") is None
    assert directory.named("GPU-") is None
    assert directory.named("1") is None


def divided() -> list[Device]:
    parent = nvidia(0, 4, 0, is_divided=True)
    instances = [
        parent._replace(
            uuid=f"MIG-{gi}-{ci}", parent_uuid=parent.uuid, instance=(gi, ci), is_divided=False
        )
        for gi, ci in ((1, 0), (2, 0), (2, 1))
    ]
    return [parent, *instances, nvidia(1, 0, 1)]


def test_with_mig_a_number_is_no_device() -> None:
    directory = Directory(NOWHERE, divided())
    assert directory.numbered(4) is None
    assert directory.numbered(0) == "GPU-00000001-x"
    assert directory.indexed("0") is None
    assert directory.indexed("0.1") == "MIG-1-0"
    # Two compute instances: the GPU instance names neither.
    assert directory.indexed("0.2") is None
    assert directory.indexed("0-1") is None
    assert directory.named("MIG-GPU-00000000-x/2/1") is None
    old = "MIG-" + "GPU-0000aaaa-0000/2/1"
    renamed = [
        device._replace(uuid="GPU-0000aaaa-0000") if device.is_divided else device
        for device in divided()
    ]
    renamed = [d._replace(parent_uuid="GPU-0000aaaa-0000") if d.parent_uuid else d for d in renamed]
    assert Directory(NOWHERE, renamed).named(old) == "MIG-2-1"


def test_an_instance_is_held_through_both_of_its_rights(tmp_path: Path) -> None:
    paths = roots(tmp_path)
    folder = paths.proc / "driver/nvidia-caps"
    folder.mkdir(parents=True)
    lines = ["gpu4/gi1/access 12", "gpu4/gi1/ci0/access 13", "gpu4/gi2/access 21",
             "gpu4/gi2/ci0/access 22", "gpu4/gi2/ci1/access 23", "gpu0/gi1/access 30"]  # fmt: skip
    (folder / "mig-minors").write_text("\n".join([*lines, ""]))
    (paths.proc / "devices").write_text("234 nvidia-caps\n")
    directory = Directory(paths, divided())
    assert directory.allowed([(195, 4), (234, 12), (234, 13)]) == {"MIG-1-0"}
    assert directory.allowed([(195, 4), (234, 21), (234, 23)]) == {"MIG-2-1"}
    assert directory.allowed([(195, 4), (234, 13), (234, 30)]) == frozenset()
    assert directory.allowed([(195, 4)]) == frozenset()
    assert directory.allowed([(234, 12), (234, 13)]) == frozenset()


def amd_machine(tmp_path: Path, minors: dict[int, str]) -> tuple[Paths, list[Device]]:
    paths = roots(tmp_path)
    (paths.sys / "dev/char").mkdir(parents=True)
    for minor, bus in minors.items():
        node = paths.sys / f"devices/{bus}/drm/node{minor}"
        node.mkdir(parents=True)
        (node / "device").symlink_to(paths.sys / f"devices/{bus}")
        (paths.sys / f"dev/char/226:{minor}").symlink_to(node)
    devices = [
        Device(f"GPU-amd-{bus}", "amd", "MI250", bus, None, None, None)
        for bus in sorted(set(minors.values()))
    ]
    return paths, devices


def test_amd_numbers_are_render_nodes_or_cards(tmp_path: Path) -> None:
    minors = {128: "0000:c3:00.0", 129: "0000:03:00.0", 0: "0000:03:00.0", 1: "0000:c3:00.0"}
    paths, devices = amd_machine(tmp_path, minors)
    directory = Directory(paths, devices)
    assert directory.numbered(128) == directory.numbered(1) == "GPU-amd-0000:c3:00.0"
    assert directory.numbered(129) == directory.numbered(0) == "GPU-amd-0000:03:00.0"
    assert directory.allowed([(226, 129), (511, 0)]) == {"GPU-amd-0000:03:00.0"}
    assert directory.named("GPU-amd-0000:c3:00.0") == "GPU-amd-0000:c3:00.0"


def test_with_both_vendors_a_number_that_could_be_either_is_neither(tmp_path: Path) -> None:
    paths, devices = amd_machine(tmp_path, {128: "0000:03:00.0", 1: "0000:03:00.0"})
    directory = Directory(paths, [*devices, nvidia(0, 0, 0), nvidia(1, 1, 1)])
    assert directory.numbered(1) is None
    assert directory.numbered(0) == "GPU-00000000-x"
    assert directory.numbered(128) == "GPU-amd-0000:03:00.0"
    assert directory.allowed([(195, 1), (226, 128)]) == {"GPU-00000001-x", "GPU-amd-0000:03:00.0"}
