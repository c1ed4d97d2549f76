from __future__ import annotations

import subprocess
import sys

import pytest

from tsobs import cli
from tsobs.errors import SetupError

HEAVY = {"aiohttp", "asyncio", "asyncpg", "numpy", "orjson", "prometheus_client", "tsobs.embedded"}


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, tsobs.cli\n"
        "try: tsobs.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [c.name for c in cli._COMMANDS if c.name != "demo"])
def test_every_command_has_help_with_a_description(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: tsobs {command}")
    assert len(shown.split("\n\n")[1]) > 15


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (SetupError("do this"), 1, "tsobs: do this\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_one_message(
    error: BaseException,
    status: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr("tsobs.commands._version", fail)
    assert cli.main(["version"]) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", shown)


def test_a_reader_that_has_seen_enough() -> None:
    code = "import sys; from tsobs.cli import main; sys.exit(main(['settings', '--markdown']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) in (0, 141)
    assert error == b""
