"""`tsobs serve` as an operator meets it: real processes, signals and sockets."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.acceptance.asking import get, is_refused
from tests.fix_process import StartProcess


def test_start_ready_stop(tsobs_process: StartProcess, database_url: str) -> None:
    process = tsobs_process("serve", "--port", "0", DATABASE_URL=database_url)
    url = process.ready()
    assert url.startswith("http://127.0.0.1:")
    assert get(f"{url}/v1/health")[0] == 200
    assert process.stop() == 0
    assert is_refused(url)
    assert process.out == [f"tsobs is ready at {url}\n"]
    password = database_url.split(":")[2].split("@")[0]
    assert password not in "".join(process.err)


def test_ctrl_c(tsobs_process: StartProcess, database_url: str) -> None:
    process = tsobs_process("serve", "--port", "0", DATABASE_URL=database_url)
    process.ready()
    assert process.stop(signal.SIGINT) == 130
    assert "Traceback" not in "".join(process.err)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_says_so(tsobs_process: StartProcess, database_url: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = tsobs_process(
            "serve", "--port", port, "--workers", workers, DATABASE_URL=database_url
        )
        assert process.wait() == 1
    [line] = process.err
    assert f"port {port} on 127.0.0.1 is taken" in line
    assert "--port 0" in line


def test_beyond_this_machine_only_with_tokens(
    tsobs_process: StartProcess, database_url: str
) -> None:
    everywhere = {"HOST": "0.0.0.0", "DATABASE_URL": database_url}
    shut = tsobs_process("serve", "--port", "0", **everywhere)
    assert shut.wait() == 1
    [line] = shut.err
    assert "tsobs token create" in line
    assert "--insecure" in line
    insecure = tsobs_process("serve", "--port", "0", "--insecure", **everywhere)
    assert get(f"{insecure.ready()}/v1/nothing")[0] == 404
    assert "insecure" in "".join(insecure.err)
    assert insecure.stop() == 0
    made = tsobs_process("token", "create", "--name", "a", "--scope", "read", **everywhere)
    assert made.wait() == 0
    [secret] = made.out
    url = tsobs_process("serve", "--port", "0", **everywhere).ready()
    assert get(f"{url}/v1/nothing")[0] == 401
    assert get(f"{url}/v1/nothing", secret.strip())[0] == 404
    assert get(f"{url}/v1/health")[0] == 200


def test_without_its_schema_it_says_what_to_do(
    tsobs_process: StartProcess, empty_database_url: str
) -> None:
    refusing = tsobs_process("serve", "--port", "0", DATABASE_URL=empty_database_url)
    assert refusing.wait() == 1
    [line] = refusing.err
    assert "tsobs migrate" in line
    migrating = tsobs_process(
        "serve", "--port", "0", "--migrate", "--workers", "2", DATABASE_URL=empty_database_url
    )
    migrating.ready()
    assert migrating.stop() == 0
    again = tsobs_process("migrate", DATABASE_URL=empty_database_url)
    assert (again.wait(), again.out) == (0, [])
    assert "nothing to do" in "".join(again.err)


def test_a_signal_while_it_waits_for_the_database_ends_it(tsobs_process: StartProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = tsobs_process(
        "serve", "--port", "0", DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{port}/d"
    )
    process.wait_for_error("waiting for the database")
    assert process.stop() == 0
    assert "hunter2" not in "".join(process.err)
