"""A real Slurm on this machine: munged, slurmctld and two slurmd, all in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.slurm_lab import daemons
from tests.slurm_lab.conf import CLUSTER, HOOKS, SEARCH_PATH, config_texts
from tests.slurm_lab.leftovers import remove_cgroups

__all__ = ["PLACE", "PROGRAMS", "SlurmLab"]

ROOT = Path(__file__).resolve().parents[2]
# Where its folder belongs: a longer path leaves no room for the names of slurmstepd's sockets.
PLACE = Path("/tmp")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
_START_WITHIN_S = 30.0
# Who runs the jobs: a user that every Debian has.
_USER, _UID, _GID = "daemon", 1, 1
_SCRIPTS = {
    "Prolog": "prolog.sh",
    "Epilog": "epilog.sh",
    "PrologSlurmctld": "prolog_slurmctld.sh",
    "EpilogSlurmctld": "epilog_slurmctld.sh",
    "JobCompLoc": "jobcomp.sh",
}


class SlurmLab:
    """A lab in a folder; any process that knows the folder may use it, or end it."""

    user = _USER

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        owner = re.search(r"-(\d+)-", folder.name)
        # As fix_cgroup names its own: agents of other tests leave them alone, leftovers are found.
        number = owner[1] if owner else str(os.getpid())
        self.nodes = (f"tsobs-{number}-9001", f"tsobs-{number}-9002")
        self.out = folder / "out"
        self.hooks_spool = folder / "hooks.spool"
        self._environment = {"PATH": SEARCH_PATH, "TZ": "UTC"}
        self._environment["SLURM_CONF"] = str(folder / "slurm.conf")
        self._started: list[str] = []

    def start(self) -> None:
        """Bring it up and wait until both nodes are idle; RuntimeError shows what the logs say."""
        try:
            self._make_folder()
            self._start_daemons()
            self._wait_until_idle()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all of it and remove the folder; may be called again, and after a failed start."""
        for node in self.nodes:
            daemons.stop(self.folder, f"slurmd-{node}")
        for name in ("slurmctld", "munged"):
            daemons.stop(self.folder, name)
        for node in self.nodes:
            remove_cgroups(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell_hooks(self, url: str, *, without: str = "") -> None:
        """Where the hooks find the service from now on, all their files being in the lab's folder;
        `without` names one (as in slurm.conf) that does nothing."""
        variables = {
            "LAB_WITHOUT": without or "nothing",
            "SLURM_CONF": self._environment["SLURM_CONF"],
            "OBSERVABILITY_URL": url,
            "OBSERVABILITY_CLUSTER": CLUSTER,
            "OBSERVABILITY_CONFIG": f"{self.folder}/hooks.conf",
            "OBSERVABILITY_LOG": f"{self.folder}/hooks.log",
            "OBSERVABILITY_SPOOL": str(self.hooks_spool),
            "OBSERVABILITY_STATE": f"{self.folder}/hooks.state",
        }
        text = "".join(f"export {name}={value}\n" for name, value in variables.items())
        new = self.folder / "hooks.env.new"
        new.write_text(text)
        new.rename(self.folder / "hooks.env")

    def submit(self, *arguments: str, script: str) -> str:
        """sbatch as the lab's user; the job's id."""
        options = ("--parsable", "--chdir=/", f"--output={self.out}/%A-%a.txt")
        done = subprocess.run(
            ["sbatch", *options, *arguments],
            input=f"#!/bin/bash\n{script}\n",
            env=self._environment,
            user=_UID,
            group=_GID,
            extra_groups=[],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + daemons.tails(self.folder)
        return done.stdout.split(";")[0].strip()

    def run(self, *command: str) -> str:
        """A Slurm command as root; what it prints."""
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}\n{daemons.tails(self.folder)}"
        return done.stdout

    def show(self, job_id: str) -> dict[str, str]:
        """`scontrol show job` of one job, as it is now; of an array's job, this one alone."""
        return next(job for job in self.show_all(job_id) if job["JobId"] == job_id)

    def show_all(self, job_id: str) -> list[dict[str, str]]:
        """`scontrol show job`: several where it is an array's id."""
        lines = self.run("scontrol", "-o", "show", "job", job_id).splitlines()
        return [
            dict(word.split("=", 1) for word in line.split() if "=" in word)
            for line in lines
            if line
        ]

    def logs(self) -> str:
        """The ends of all logs."""
        return daemons.tails(self.folder)

    def _make_folder(self) -> None:
        self.folder.chmod(0o755)  # its user's jobs look into it
        for name in ("state", "hooks", *(f"spool.{node}" for node in self.nodes)):
            (self.folder / name).mkdir()
        self.out.mkdir()
        self.out.chmod(0o1777)
        for name, text in config_texts(self.folder, self.nodes).items():
            (self.folder / name).write_text(text)
        shutil.copy(Path(__file__).with_name("job.sh"), self.folder)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        self.tell_hooks("http://127.0.0.1:9")
        for hook in HOOKS:
            wrapper = self.folder / "hooks" / hook
            script = ROOT / "scripts" / "slurm" / _SCRIPTS[hook]
            wrapper.write_text(
                f"#!/bin/bash\n. {self.folder}/hooks.env\n[ $LAB_WITHOUT != {hook} ] || exit 0\n"
                f"exec {script} 2>>{self.folder}/hooks.err\n"
            )
            wrapper.chmod(0o755)

    def _start_daemons(self) -> None:
        folder, conf = self.folder, str(self.folder / "slurm.conf")
        munged = [
            *("munged", "--foreground", f"--key-file={folder}/munge.key", "--num-threads=2"),
            *(f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"),
            f"--seed-file={folder}/munge.seed",
        ]
        self._start("munged", munged)
        self._wait(lambda: (folder / "munge.socket").exists(), "munged made no socket")
        self._start("slurmctld", ["slurmctld", "-D", "-f", conf])
        for node in self.nodes:
            self._start(f"slurmd-{node}", ["slurmd", "-D", "-N", node, "-f", conf])

    def _start(self, name: str, arguments: list[str]) -> None:
        daemons.start(self.folder, name, arguments, self._environment)
        self._started.append(name)

    def _wait_until_idle(self) -> None:
        listing = ("sinfo", "--noheader", "--Node", "--format=%t")

        def idle() -> bool:
            done = subprocess.run(listing, env=self._environment, capture_output=True, text=True)
            return done.stdout.split() == ["idle"] * len(self.nodes)

        self._wait(idle, "the nodes did not become idle")

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while not condition():
            ended = [name for name in self._started if not daemons.is_running(self.folder, name)]
            if ended or time.monotonic() > deadline:
                complaint = f"{', '.join(ended)} ended at once" if ended else complaint
                raise RuntimeError(f"no Slurm: {complaint}\n{self.logs()}")
            time.sleep(0.1)
