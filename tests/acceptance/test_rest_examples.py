"""The examples of docs/rest.md, run as they stand there, one after the other."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from tests.fix_process import ROOT, StartProcess

EXAMPLES = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "rest.md").read_text(), re.DOTALL)


def test_every_example_works(tsobs_process: StartProcess, database_url: str) -> None:
    assert len(EXAMPLES) >= 4
    url = tsobs_process("serve", "--port", "0", DATABASE_URL=database_url).ready()
    answers: list[Any] = []
    for example in EXAMPLES:
        for line in example.replace("\\\n", "").splitlines():
            told = line.replace("127.0.0.1:8080", url.removeprefix("http://"))
            done = subprocess.run(["bash", "-c", told], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, line
            answers.append(json.loads(done.stdout) if done.stdout else None)
    created, sample, series, changed, trail, deleted = answers
    assert (created["id"], created["state"], created["nodes"]) == ("4711", "running", ["n1", "n2"])
    assert series["samples"][0]["cpu_usage"] == sample["cpu_usage"] == 87.5
    assert (changed["state"], changed["exit_code"], changed["max_gpu_usage"]) == ("failed", 2, 40)
    assert [event["kind"] for event in trail["events"]] == ["created", "updated"]
    assert deleted is None
