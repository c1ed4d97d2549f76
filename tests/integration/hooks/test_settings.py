"""Settings, the token, and that the scripts are clean."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hooks.receiving import Receiver
from tests.integration.hooks.running import DEAD_URL, HOOKS, ROOT, Hooks

TOKEN = "tsobs_0123456789abcdefghijklmnopqrstuvwxyz"


def test_shellcheck() -> None:
    program = shutil.which("shellcheck")
    if program is None:
        # .ci/run installs it: there a skip is a failure.
        pytest.skip("needs shellcheck: apt-get install shellcheck")
    scripts = sorted(HOOKS.iterdir())
    assert len(scripts) == 6
    done = subprocess.run(
        [program, "--external-sources", *scripts], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", sorted(HOOKS.iterdir()), ids=lambda path: path.name)
def test_a_script_can_be_run(path: Path) -> None:
    assert path.stat().st_mode & 0o111 == 0o111
    assert path.read_text().startswith("#!/bin/bash\n")


@pytest.mark.parametrize("name", ["URL", "API_URL"])
def test_both_names_of_the_address(
    hooks: Hooks, receiver: Receiver, job: dict[str, str], name: str
) -> None:
    hooks.settings.pop("URL")
    given: dict[str, Any] = {name: f"{receiver.url}//"}
    hooks.run("prolog", job, **given)
    assert receiver.kinds() == ["job-started"]
    hooks.run("prolog", job, API_URL=DEAD_URL, URL=receiver.url)
    assert receiver.kinds() == ["job-started"] * 2


def test_the_file_is_read_and_the_environment_wins(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    (hooks.folder / "hooks.conf").write_text(
        f"# ours\nOBSERVABILITY_URL={receiver.url}\nexport OBSERVABILITY_CLUSTER='big one'\n"
    )
    hooks.settings.pop("URL")
    hooks.run("prolog", job)
    hooks.run("prolog", job, CLUSTER="other")
    assert [event["cluster"] for _, event in receiver.events] == ["big one", "other"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nsecond line\n"])
def test_the_token(hooks: Hooks, receiver: Receiver, job: dict[str, str], ending: str) -> None:
    token = hooks.folder / "token"
    token.write_bytes((TOKEN + ending).encode())
    hooks.run("prolog", job, URL=receiver.url, TOKEN_FILE=str(token))
    (headers,) = receiver.headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"


def test_a_token_that_cannot_be_read_is_said(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    receiver.answer = (401, '{"error":"unauthorized","message":"no token"}')
    hooks.run("prolog", job, URL=receiver.url, TOKEN_FILE=str(hooks.folder / "none"))
    assert len(hooks.waiting()) == 1
    assert "cannot read the token" in hooks.logged()


def test_nobody_sees_the_token(hooks: Hooks, job: dict[str, str]) -> None:
    """In no process's arguments or environment, in no file, while the server keeps curl waiting."""
    token = hooks.folder / "token"
    token.write_text(TOKEN)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        running = threading.Thread(
            target=hooks.run, args=("prolog", job), kwargs={"URL": url, "TOKEN_FILE": str(token)}
        )
        running.start()
        connection, _ = listening.accept()
        with connection:
            received = connection.recv(65536)
            assert TOKEN.encode() in received
            seen = b""
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        seen += (process / name).read_bytes()
                    except OSError:
                        continue
            assert b"--data-binary\0@-" in seen
            assert TOKEN.encode() not in seen
        running.join()
    for path in (*hooks.spool.iterdir(), hooks.log):
        assert TOKEN not in path.read_text()


@pytest.mark.parametrize("text", ["0", "x", "-1", "1e9", "0.005"])
def test_an_odd_time_limit(
    hooks: Hooks, receiver: Receiver, job: dict[str, str], text: str
) -> None:
    hooks.run("prolog", job, URL=receiver.url, TIMEOUT=text)
    assert len(receiver.events) == 1


def test_the_time_limit(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    receiver.delay_s = 4.0
    ran = hooks.run("epilog", job, URL=receiver.url, TIMEOUT="0.3", SCONTROL="no")
    assert ran.took_s < 2.0
    assert len(hooks.waiting()) == 1


@pytest.mark.parametrize("url", ["", "ftp://x", "tsobs:8080", 'http://a"\noutput = "/tmp/x'])
def test_an_odd_address(hooks: Hooks, job: dict[str, str], url: str) -> None:
    (hooks.folder / "hooks.conf").write_text(f"OBSERVABILITY_URL={url!r}\n")
    hooks.settings["URL"] = url or "x"
    assert hooks.run("prolog", job).status == 0
    assert len(hooks.waiting()) == 1
    assert not Path("/tmp/x").exists()


def test_the_page_lists_every_setting() -> None:
    text = (HOOKS / "tsobs_hooks.bash").read_text()
    found = re.search(r"^readonly SETTINGS=\(([A-Z_ \n]+)\)$", text, re.MULTILINE)
    assert found
    page = (ROOT / "docs" / "slurm.md").read_text()
    for name in ("CONFIG", *found[1].split()):
        assert f"`OBSERVABILITY_{name}`" in page
