"""What a start is told with: recorded environments, node lists, CPUs, GPUs, any text."""

from __future__ import annotations

import json
import resource
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.hooks.recordings import recorded
from tests.integration.hooks.running import Hooks

VERSIONS = ("24.11.5", "26.05.5")


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_start(hooks: Hooks, version: str) -> None:
    given = recorded(version, "end-success", "prolog_slurmd").environment
    told = hooks.told("prolog", given)
    assert told.pop("timestamp") >= "2026"
    assert told == {
        "job_id": given["SLURM_JOB_ID"],
        "user": "alice",
        "cluster": "lab",
        "scheduler": "slurm",
        "source": "slurm-prolog",
        "node": "n1",
        "node_list": ["n1"],
        "partition": "debug",
        "restart_count": 0,
        "start_time": iso(int(given["SLURM_JOB_START_TIME"])),
        "cpu_allocation": 1,
        "nodes_alloc": [{"node": "n1", "cpus": 1}],
    }
    assert hooks.asked() == [], "Slurm said when it starts: nobody is to be asked"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_node_tells_its_own_part(hooks: Hooks, version: str) -> None:
    told = [
        hooks.told("prolog", recorded(version, "twonode", "prolog_slurmd", node=node).environment)
        for node in ("n1", "n2")
    ]
    assert [event["node"] for event in told] == ["n1", "n2"]
    assert [event["nodes_alloc"] for event in told] == [
        [{"node": "n1", "cpus": 1}],
        [{"node": "n2", "cpus": 1}],
    ]
    assert {json.dumps(event["node_list"]) for event in told} == {'["n1", "n2"]'}
    assert {event["cpu_allocation"] for event in told} == {2}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_controllers_prolog_knows_name_and_account(hooks: Hooks, version: str) -> None:
    given = recorded(version, "twonode", "prolog_slurmctld").environment
    assert given["SLURM_JOB_ACCOUNT"] == "(null)"
    told = hooks.told("prolog_slurmctld", given)
    assert (told["name"], told["node_list"]) == ("two", ["n1", "n2"])
    assert not {"account", "node", "array_job_id"} & set(told)
    array = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "7", "SLURM_JOB_ACCOUNT": "phys"}
    told = hooks.told("prolog_slurmctld", given | array)
    assert (told["account"], told["array_job_id"], told["array_task_id"]) == ("phys", "40", "7")
    assert any("40_7" in line for line in hooks.asked())


def test_before_24_11_the_first_node_asks_when_it_started(
    hooks: Hooks, job: dict[str, str]
) -> None:
    hooks.answer(
        json.dumps(
            {
                "jobs": [
                    {
                        "job_id": 77,
                        "job_state": "RUNNING",
                        "name": 'a "b" \\ ü',
                        "account": "phys",
                        "start_time": 1795258287,
                        "submit_time": {"set": True, "infinite": False, "number": 1795258200},
                        "time_limit": {"set": True, "infinite": False, "number": 5},
                        "tres_alloc_str": "cpu=1,mem=1.50G,node=1,billing=1,gres/gpu=3",
                    }
                ]
            }
        )
    )
    told = hooks.told("prolog", job)
    assert told["start_time"] == iso(1795258287)
    assert told["submit_time"] == iso(1795258200)
    assert (told["name"], told["account"], told["time_limit_s"]) == ('a "b" \\ ü', "phys", 300)
    assert (told["memory_allocation_mb"], told["gpu_allocation"]) == (1536, 3)
    two = job | {"SLURM_NODELIST": "n[1-2]", "SLURMD_NODENAME": "n2", "SLURM_JOB_ID": "78"}
    asked = len(hooks.asked())
    before = iso(time.time())
    assert before <= hooks.told("prolog", two)["start_time"] <= iso(time.time() + 1)
    assert len(hooks.asked()) == asked


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("n1", ["n1"]),
        ("n[1-3,7]", ["n1", "n2", "n3", "n7"]),
        ("n[08-11],login1", ["n08", "n09", "n10", "n11", "login1"]),
        ("a[1-2]b[03-04]c,x", ["a1b03c", "a1b04c", "a2b03c", "a2b04c", "x"]),
        ("r[1-2],s[098-101]-ib", ["r1", "r2", "s098-ib", "s099-ib", "s100-ib", "s101-ib"]),
    ],
)
def test_node_lists(hooks: Hooks, job: dict[str, str], listed: str, names: list[str]) -> None:
    node = {"SLURMD_NODENAME": names[-1], "SLURM_NODELIST": listed}
    told = hooks.told("prolog", job | node)
    assert told["node_list"] == names
    assert told["node"] == names[-1]


@pytest.mark.parametrize("listed", ["n[1-", "n[2-1]", "n[1-999999999]", "n]", "a,,b", "n[x]", "a,"])
def test_an_odd_node_list_leaves_the_node_itself(
    hooks: Hooks, job: dict[str, str], listed: str
) -> None:
    told = hooks.told("prolog", job | {"SLURM_NODELIST": listed})
    assert told["node_list"] == ["n1"]
    assert "the node list cannot be read" in hooks.logged()


@pytest.mark.parametrize(
    ("cpus", "total", "here"),
    [
        ("2(x3),1", 7, [2, 2, 2, 1]),
        ("4,2(x2),8", 16, [4, 2, 2, 8]),
        ("2(x3)", None, [None] * 4),
        ("x", None, [None] * 4),
    ],
)
def test_cpus_of_the_job_and_of_each_node(
    hooks: Hooks, job: dict[str, str], cpus: str, total: int | None, here: list[int | None]
) -> None:
    given = job | {"SLURM_NODELIST": "n[1-4]", "SLURM_JOB_CPUS_PER_NODE": cpus}
    for n, expected in enumerate(here, 1):
        told = hooks.told("prolog", given | {"SLURMD_NODENAME": f"n{n}"})
        assert told.get("cpu_allocation") == total
        wanted = None if expected is None else [{"node": f"n{n}", "cpus": expected}]
        assert told.get("nodes_alloc") == wanted


UUIDS = [f"GPU-0a1b2c3d-0000-1111-2222-33334444555{n}" for n in range(4)]
_SMI = "#!/bin/bash\ncat <<'END'\n{}\nEND\n"
# Asked for the MIG mode it says that too.
_SMI_BY_QUERY = """#!/bin/bash
case $1 in *mig*) cat <<'END'
{}
END
;; *) cat <<'END'
{}
END
;; esac
"""
_INDEXED = "\n".join(f"{n}, {uuid}" for n, uuid in enumerate(UUIDS))
_LISTED = "\n".join(f"{n}, {uuid}, Disabled" for n, uuid in enumerate(UUIDS))


def gpu_facts(told: dict[str, Any]) -> tuple[Any, Any, Any]:
    return told.get("gpu_allocation"), told.get("gpu_vendor"), told.get("gpu_devices")


def test_nvidia_gpus_by_uuid(hooks: Hooks, job: dict[str, str]) -> None:
    hooks.program("nvidia-smi", _SMI.format(_LISTED))
    told = hooks.told("prolog", job | {"SLURM_JOB_GPUS": "1,3", "CUDA_VISIBLE_DEVICES": "0,1"})
    assert gpu_facts(told) == (2, "nvidia", [UUIDS[1], UUIDS[3]])
    assert told["nodes_alloc"] == [{"node": "n1", "gpus": [UUIDS[1], UUIDS[3]]}]
    two_nodes = job | {"SLURM_JOB_GPUS": "2", "SLURM_NODELIST": "n[1-2]"}
    assert gpu_facts(hooks.told("prolog", two_nodes)) == (None, "nvidia", [UUIDS[2]])


def test_the_drivers_own_files_come_first(hooks: Hooks, job: dict[str, str]) -> None:
    hooks.program("nvidia-smi", _SMI.format(_LISTED))
    for minor, bus in ((0, "0000:41:00.0"), (1, "0000:01:00.0")):
        folder = hooks.folder / "proc/driver/nvidia/gpus" / bus
        folder.mkdir(parents=True)
        text = (
            f"Model: \t\t NVIDIA H200\nGPU UUID: \t {UUIDS[3 - minor]}\nDevice Minor: \t {minor}\n"
        )
        (folder / "information").write_text(text)
    told = hooks.told("prolog", job | {"SLURM_JOB_GPUS": "0,1"})
    assert gpu_facts(told) == (2, "nvidia", [UUIDS[3], UUIDS[2]])


def test_mig_is_told_by_its_own_ids_only(hooks: Hooks, job: dict[str, str]) -> None:
    hooks.program("nvidia-smi", _SMI.format(_LISTED.replace("Disabled", "Enabled")))
    assert gpu_facts(hooks.told("prolog", job | {"SLURM_JOB_GPUS": "0"})) == (1, None, None)
    mig = "MIG-9e0c1fd0-aaaa-5bbb-8ccc-000000000001"
    told = hooks.told("prolog", job | {"SLURM_JOB_GPUS": "0", "CUDA_VISIBLE_DEVICES": mig})
    assert gpu_facts(told) == (1, "nvidia", [mig])


def test_who_holds_a_gpu_is_left_in_files_until_the_epilog(
    hooks: Hooks, job: dict[str, str]
) -> None:
    folder, dcgm = hooks.folder / "gpustat", hooks.folder / "dcgm"
    dcgm.mkdir()
    (dcgm / "2").write_text("99\n")
    hooks.program("nvidia-smi", _SMI_BY_QUERY.format(_LISTED, _INDEXED))
    hooks.settings["DCGM_DIR"] = str(dcgm)
    given = job | {"SLURM_JOB_GPUS": "1,2", "SLURM_JOB_UID": "1000"}
    other = given | {"SLURM_JOB_ID": "77777", "SLURM_JOBID": "77777", "SLURM_JOB_GPUS": "2"}
    for environment in (given, given, other):
        hooks.told("prolog", environment)
    job_id = given["SLURM_JOB_ID"]
    line = f"{job_id} 1000\n"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        UUIDS[1]: line,
        UUIDS[2]: f"{line}77777 1000\n",
    }
    assert {path.name: path.read_text() for path in dcgm.iterdir()} == {
        "1": f"{job_id}\n",
        "2": f"99\n{job_id}\n77777\n",
    }
    hooks.run("epilog", given)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {UUIDS[2]: "77777 1000\n"}
    assert {path.name: path.read_text() for path in dcgm.iterdir()} == {"2": "99\n77777\n"}


def test_amd_gpus_are_cards(hooks: Hooks, job: dict[str, str]) -> None:
    listed = "GPU[0]\t\t: Device ID: 0x740f\nGPU[1]\t\t: Device ID: 0x740f"
    hooks.program("rocm-smi", _SMI.format(listed))
    told = hooks.told("prolog", job | {"SLURM_JOB_GPUS": "1,2"})
    assert gpu_facts(told) == (2, "amd", ["card1"])
    assert told["nodes_alloc"] == [{"node": "n1", "gpus": 2}]


@pytest.mark.parametrize("version", VERSIONS)
def test_gpus_that_nothing_names_are_counted(hooks: Hooks, version: str) -> None:
    given = recorded(version, "gpu", "prolog_slurmd").environment
    assert gpu_facts(hooks.told("prolog", given)) == (1, None, None)


def test_a_job_without_gpus_on_a_node_that_has_some(hooks: Hooks, job: dict[str, str]) -> None:
    hooks.program("nvidia-smi", _SMI.format(_LISTED) + f"touch {hooks.folder}/asked\n")
    assert gpu_facts(hooks.told("prolog", job)) == (None, None, None)
    assert not (hooks.folder / "asked").exists()


TEXTS = {
    "quotes": 'a"b\'c\\d\\"e\\',
    "lines": "a\nb\r\n\tc\x01\x1f\x7f",
    "shell": "$(id) `id` ${HOME} & ; | * ? [a] {b,c} !x ~",
    "utf8": "grüße 漢字 🚀 \u2028",
    "printf": "%s %d %n \\x41 \\u0041 &",
    "long": "ü" * 3000,
    "spaces": "  a  b  ",
}


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_json(hooks: Hooks, job: dict[str, str], name: str) -> None:
    text = TEXTS[name]
    told = hooks.told("prolog_slurmctld", job | {"SLURM_JOB_NAME": text})
    if name == "long":
        assert text.startswith(told["name"])
        assert 490 <= len(told["name"]) <= 1024
    else:
        assert told["name"] == text


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        (b"a\xffb", "a�b"),
        (b"\xc3", "�"),
        (b"\xc3(\xe2\x82\xac\xe2\x82", "�(€��"),
        (b"\xed\xa0\x80", "���"),
        (b"\xf4\x90\x80\x80|\xc0\xaf", "����|��"),
        (b'"\xf0\x9f\x9a\x80\\\xf0\x9f\x9a', '"🚀\\���'),
    ],
)
def test_broken_utf8_is_marked(
    hooks: Hooks, job: dict[str, str], broken: bytes, mended: str
) -> None:
    assert hooks.told("prolog_slurmctld", {**job, "SLURM_JOB_NAME": broken})["name"] == mended


def test_ten_thousand_nodes(hooks: Hooks, job: dict[str, str]) -> None:
    big = job | {"SLURM_NODELIST": "c[00001-10000]", "SLURM_JOB_CPUS_PER_NODE": "128(x10000)"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = hooks.told("prolog", big | {"SLURMD_NODENAME": "c00001"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
    assert (len(told["node_list"]), told["node_list"][-1]) == (10_000, "c10000")
    assert told["cpu_allocation"] == 1_280_000
    told = hooks.told("prolog", big | {"SLURMD_NODENAME": "c09999"})
    assert told["node_list"] == ["c09999"]
    assert told["nodes_alloc"] == [{"node": "c09999", "cpus": 128}]
