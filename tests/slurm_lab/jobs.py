"""The lab's jobs: one for each way in which a job can end, and what is done to it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["JOBS", "Job"]

# Bigger than every limit below.
_TOO_MUCH = "head --bytes=400M /dev/zero | tail"


class Job(NamedTuple):
    """What is submitted (shell, with `burn`, `used` and `ready` of job.sh), and what is to be done
    when it says that it is ready: `cancel`, `expire` or `requeue`."""

    script: str
    options: tuple[str, ...] = ()
    fate: str = ""


# They burn to their very end, of which a busy machine's agent may miss a moment.
JOBS = {
    "success": Job("burn 8", ('--job-name=it\'s "quoted" β\\n',)),
    "short": Job("burn 5"),
    "exit3": Job("burn 4; exit 3"),
    "segv": Job("burn 4; kill -SEGV $$"),
    "memory": Job("burn 4; exec tail /dev/zero", ("--mem=60",)),
    "child_memory": Job(f"burn 4; {_TOO_MUCH}; used; exit 0", ("--mem=60",)),
    "step_memory": Job(
        f"srun --mem=60 bash -c '. $LAB_OUT/../job.sh; {_TOO_MUCH}; used'; burn 4; used; exit 0"
    ),
    "cancelled": Job("burn 4; ready; sleep 600", fate="cancel"),
    "pending": Job("exit 9", ("--begin=now+1hour",), fate="cancel"),
    "timeout": Job("burn 4; ready; sleep 600", fate="expire"),
    "requeued": Job(
        'burn 4; [ "$SLURM_RESTART_COUNT" ] || { ready; sleep 600; }',
        ("--requeue",),
        fate="requeue",
    ),
    "two_nodes": Job(
        "srun bash -c '. $LAB_OUT/../job.sh; burn 4'; used",
        ("--nodes=2", "--ntasks-per-node=1"),
    ),
    "array": Job("burn $((3 + SLURM_ARRAY_TASK_ID))", ("--array=1-2",)),
}
