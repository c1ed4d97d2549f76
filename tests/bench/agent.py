"""`make bench-agent`: the agent's CPU and memory with many jobs and 8 GPUs, beside Debian's
prometheus-node-exporter scraped as often.

Real cgroup v1 jobs (five directories each under five controllers, one process each; needs root),
and the same number of jobs as recorded v2 files. What counts is all that the agent uses from one
round to the next: the round, the looks of each second, sending, and the process that asks the GPUs'
driver, which is the stand-in of tests/nvml_standin.c.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.process import cpu_seconds, resident_bytes, tree
from tests.fix_cgroup import CGROUP_ROOT, CgroupJob
from tests.fix_gpu import build_standin, gpu, uuid_of
from tests.processes import AgentProcess
from tsobs.embedded.debian import fetch
from tsobs.embedded.places import cache_dir

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests/fixtures/nodeagent/v2-batch-t0.json"
CONTROLLERS = ("cpuacct", "memory", "cpuset", "freezer", "devices")
PARTS = ("step_extern/task_special", "step_batch/task_0")
PEER = "prometheus-node-exporter"
WANTED_MS, WANTED_MB = 60, 40


class Figures(NamedTuple):
    """CPU milliseconds from one round to the next, and memory in MB, the agent's own and its
    helper's."""

    cpu_ms: float
    own_mb: float
    helper_mb: float


class Sink:
    """Takes every batch and counts those of rounds."""

    def __init__(self) -> None:
        self.rounds = 0
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                sink.rounds += 1
                text = json.dumps({"status": "accepted", "time": time.time()}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def main() -> int:
    """Prints the figures; always 0, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=256, help="jobs on the node (default 256)")
    parser.add_argument("--rounds", type=int, default=4, help="rounds measured (default 4)")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds (default 15)")
    args = parser.parse_args()
    peer = _peer(args.rounds, args.interval)
    for version in ("v1", "v2"):
        found = {
            jobs: _agent(version, jobs, args.rounds, args.interval)
            for jobs in (args.jobs // 4, args.jobs)
        }
        for jobs, figures in found.items():
            _say(f"{version}, {jobs} jobs, 8 GPUs: {_told(figures)}")
        few, many = found.values()
        ratio = many.cpu_ms / max(few.cpu_ms, 0.1)
        _say(f"{version}, four times the jobs: {ratio:.1f} times the CPU (linear: at most 4)")
        _say(
            f"{version}: {many.cpu_ms:.0f} ms a round (wanted: {WANTED_MS}), "
            f"{many.own_mb + many.helper_mb:.0f} MB (wanted: {WANTED_MB}); {PEER} "
            f"{peer.cpu_ms:.0f} ms a scrape, {peer.own_mb:.0f} MB"
        )
    return 0


def _agent(version: str, jobs: int, rounds: int, interval_s: float) -> Figures:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tsobs-bench-")))
        sink = Sink()
        stack.enter_context(_serving(sink))
        node = f"tsobs-{os.getpid()}-{jobs}"
        make = _v1_jobs if version == "v1" else _v2_files
        settings = stack.enter_context(make(node, jobs, folder))
        library, held = _gpus(folder)
        state = folder / "state"
        agent = AgentProcess(
            sink.url,
            state,
            node_name=node,
            interval=interval_s,
            nvml_library=library,
            gpu_job_dirs=held,
            **settings,
        )
        stack.enter_context(agent)
        # The first rounds open files and ask processes.
        _wait(sink, 3)
        before, start = cpu_seconds(agent.pid), sink.rounds
        _wait(sink, start + rounds)
        used_s = cpu_seconds(agent.pid) - before
        helpers = [pid for pid in tree(agent.pid) if pid != agent.pid]
        return Figures(
            used_s / rounds * 1e3,
            resident_bytes(agent.pid) / 1e6,
            sum(_own_bytes(pid) for pid in helpers) / 1e6,
        )


def _peer(scrapes: int, interval_s: float) -> Figures:
    program = fetch([PEER], into=cache_dir() / PEER) / "usr/bin" / PEER
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [program, f"--web.listen-address={address}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                _scrape(address)
                break
            except OSError:
                time.sleep(0.05)
        before = cpu_seconds(process.pid)
        for _ in range(scrapes):
            time.sleep(interval_s)
            _scrape(address)
        used_s = cpu_seconds(process.pid) - before
        return Figures(used_s / scrapes * 1e3, resident_bytes(process.pid) / 1e6, 0.0)
    finally:
        process.terminate()
        process.wait(10)


def _scrape(address: str) -> None:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        answer.read()


@contextmanager
def _v1_jobs(node: str, jobs: int, _folder: Path) -> Iterator[dict[str, object]]:
    tops = {name: CGROUP_ROOT / name / f"slurm_{node}" for name in CONTROLLERS}
    with ExitStack() as stack:
        for n in range(jobs):
            job = CgroupJob(node, str(1000 + n), 0, tops)
            stack.callback(job.remove)
            job.make()
            for part in PARTS:
                job.add_part(part)
            told = {**os.environ, "SLURM_JOB_ID": str(1000 + n), "SLURM_JOB_NAME": "bench"}
            job.run(["sleep", "3600"], PARTS[-1], env=told)
        yield {}


@contextmanager
def _v2_files(node: str, jobs: int, folder: Path) -> Iterator[dict[str, object]]:
    root = folder / "cgroup"
    scope = "sys/fs/cgroup/system.slice/n1_slurmstepd.scope/job_1/"
    recorded = {
        name.removeprefix(scope): text
        for name, text in json.loads(RECORDED.read_text()).items()
        if name.startswith(scope)
    }
    for n in range(jobs):
        top = root / f"system.slice/{node}_slurmstepd.scope/job_{1000 + n}"
        for name, text in recorded.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (root / "cgroup.controllers").write_text("cpuset cpu memory\n")
    yield {"cgroup_root": root}


def _gpus(folder: Path) -> tuple[Path, Path]:
    held = folder / "gpustat"
    held.mkdir()
    lines = []
    for n in range(8):
        (held / uuid_of(n)).write_text(f"{1000 + n} 1000\n")
        values = "util mutil used total power limit temp smclock memclock enc dec energy corrected"
        values += " uncorrected field74 field82 field138x field139x field269 field270 field271 xids"
        values += " gpm gpm2 gpm3 gpm5 gpm10 gpm20 gpm21"
        lines.append(gpu(n, **dict.fromkeys(values.split(), 1), mig=0, samples1="1,2,3"))
    file = folder / "gpus"
    file.write_text("\n".join([*lines, ""]))
    os.environ["NVML_STANDIN"] = str(file)
    return build_standin(folder), held


@contextmanager
def _serving(sink: Sink) -> Iterator[None]:
    thread = threading.Thread(target=sink.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        sink.server.shutdown()
        sink.server.server_close()
        thread.join()


def _wait(sink: Sink, rounds: int) -> None:
    deadline = time.monotonic() + 600
    while sink.rounds < rounds:
        if time.monotonic() > deadline:
            raise TimeoutError("the agent sends nothing")
        time.sleep(0.01)


def _own_bytes(pid: int) -> int:
    """Memory that a helper adds: what it shares with the agent's own Python counts once."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(
        int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")
    )


def _told(figures: Figures) -> str:
    return (
        f"{figures.cpu_ms:.0f} ms CPU from round to round, {figures.own_mb:.1f} MB and "
        f"{figures.helper_mb:.1f} MB of the GPUs' reader"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
