"""What says which GPUs a job holds, and who is right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodeagent.gpu.allocation import (
    Claim,
    Rank,
    claim_of_environ,
    claims_of_files,
    open_files,
    settle,
)
from nodeagent.gpu.device import Device
from nodeagent.gpu.directory import Directory
from nodeagent.paths import Paths

# Minor numbers, the driver's order and the UUIDs disagree on purpose.
A = Device("GPU-aaaaaaaa", "nvidia", None, "0000:3b:00.0", 1, 0, None)
B = Device("GPU-bbbbbbbb", "nvidia", None, "0000:af:00.0", 0, 1, None)
DIRECTORY = Directory(Paths(*(Path("/nonexistent"),) * 4), [A, B])


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("a *:* rwm\n", None),
        ("c 195:* rwm\n", None),
        ("c *:* rwm\n", None),
        ("", []),
        ("c *:* m\nb *:* m\nc 1:3 rwm\nc 195:1 rw\n", [(1, 3), (195, 1)]),
        ("c 136:* rwm\nc 195:0 m\nc 226:128 rwm\nb 8:0 rwm\nodd\n", [(226, 128)]),
    ],
)
def test_open_files(text: str, files: list[tuple[int, int]] | None) -> None:
    assert open_files(text) == files


@pytest.mark.parametrize(
    ("variables", "uuids"),
    [
        ({"SLURM_JOB_GPUS": "0"}, {B.uuid}),
        ({"SLURM_JOB_GPUS": "0,1"}, {A.uuid, B.uuid}),
        # Inside a confined job CUDA counts anew: its 0 is any device.
        ({"SLURM_JOB_GPUS": "1", "CUDA_VISIBLE_DEVICES": "0"}, {A.uuid}),
        ({"CUDA_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": "GPU-aaaaaaaa"}, {A.uuid}),
        ({"SLURM_JOB_GPUS": "7", "CUDA_VISIBLE_DEVICES": "GPU-bbbbbbbb"}, {B.uuid}),
        ({"SLURM_JOB_GPUS": "1;rm", "CUDA_VISIBLE_DEVICES": ""}, None),
        ({"SLURM_JOB_GPUS": ""}, None),
        ({}, None),
    ],
)
def test_the_environment(variables: dict[str, str], uuids: set[str] | None) -> None:
    claim = claim_of_environ(variables, DIRECTORY)
    assert (claim.uuids if claim else None) == uuids
    assert claim is None or claim.rank == Rank.ENVIRON


def test_stated_weights() -> None:
    variables = {"SLURM_JOB_GPUS": "0,1", "SLURM_SHARDS_ON_NODE": "6"}
    claim = claim_of_environ(variables, DIRECTORY)
    assert claim is not None
    assert (claim.shards, claim.percent) == (3.0, None)
    for text, percent in (("40", 40.0), ("0", None), ("101", None), ("x", None), ("nan", None)):
        told = {"SLURM_JOB_GPUS": "0", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": text}
        claim = claim_of_environ(told, DIRECTORY)
        assert claim is not None
        assert claim.percent == percent


def test_files_of_both_conventions(tmp_path: Path) -> None:
    stat, dcgm = tmp_path / "gpustat", tmp_path / "dcgm"
    stat.mkdir()
    dcgm.mkdir()
    (stat / A.uuid).write_text("101 1000\n")
    (stat / "0").write_text("101 1000\n")
    (stat / "0000:af:00.0").write_text("102 1000\n")
    (stat / "GPU-unknown1").write_text("103 1000\n")
    assert claims_of_files([stat], DIRECTORY) == {"101": {A.uuid}, "102": {B.uuid}}
    # NVIDIA's own index, job ids line by line.
    (dcgm / "0").write_text("201\n202\n")
    (dcgm / "1").write_text("202\nodd line\n")
    (dcgm / "9").write_text("203\n")
    assert claims_of_files([dcgm, tmp_path / "none"], DIRECTORY) == {
        "201": {A.uuid},
        "202": {A.uuid, B.uuid},
    }


@pytest.mark.root
def test_a_file_that_a_user_wrote_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / A.uuid
    path.write_text("101 1000\n")
    os.chown(path, 1000, 1000)
    assert claims_of_files([tmp_path], DIRECTORY) == {}
    (tmp_path / B.uuid).symlink_to("/etc/passwd")
    assert claims_of_files([tmp_path], DIRECTORY) == {}


def test_on_each_device_only_the_best_source_counts() -> None:
    claims = {
        "kernel": Claim(Rank.KERNEL, frozenset({A.uuid})),
        "file": Claim(Rank.FILE, frozenset({A.uuid, B.uuid})),
        "boast": Claim(Rank.ENVIRON, frozenset({A.uuid, B.uuid})),
        "other": Claim(Rank.FILE, frozenset({B.uuid})),
    }
    held = {uuid: set(jobs) for uuid, jobs in settle(claims).items()}
    assert held == {A.uuid: {"kernel"}, B.uuid: {"file", "other"}}
    assert settle({"1": Claim(Rank.KERNEL, frozenset())}) == {}
