"""The commands without a service: what they print, and how they refuse."""

from __future__ import annotations

from pathlib import Path

from tests.fix_process import StartProcess


def test_without_any_database_they_say_what_to_do(
    tsobs_process: StartProcess, tmp_path: Path
) -> None:
    for argv in (["serve", "--port", "0"], ["migrate"], ["token", "list"]):
        process = tsobs_process(*argv, TSOBS_DATA_DIR=str(tmp_path / "none"))
        assert process.wait() == 1
        [line] = process.err
        assert "DATABASE_URL" in line
        assert "tsobs db start" in line


def test_bad_settings_stop_the_start(tsobs_process: StartProcess, tmp_path: Path) -> None:
    file = tmp_path / "tsobs.toml"
    file.write_text("wokers = 2\n")
    process = tsobs_process(
        "serve", "--config", str(file), "--role", "both", PORT="http", TSOBS_HOTS="x"
    )
    assert process.wait() == 1
    text = "".join(process.err)
    for part in ("wokers", "workers", "role", "port", "PORT", "TSOBS_HOTS", str(file)):
        assert part in text
    assert "Traceback" not in text


def test_usage_errors_exit_with_2(tsobs_process: StartProcess) -> None:
    for argv in ([], ["nonsense"], ["serve", "--nonsense"], ["token", "create", "--scope", "x"]):
        process = tsobs_process(*argv)
        assert process.wait() == 2
        assert "usage: tsobs" in "".join(process.err)


def test_help_shows_every_command_and_an_example(tsobs_process: StartProcess) -> None:
    process = tsobs_process("--help")
    assert process.wait() == 0
    text = "".join(process.out)
    for command in ("serve", "migrate", "db", "token", "maintain", "settings", "version"):
        assert f"    {command}" in text
    assert "examples:" in text


def test_settings_are_shown_without_passwords(tsobs_process: StartProcess) -> None:
    process = tsobs_process("settings", DATABASE_URL="postgresql://u:hunter2@h/d", PORT="81")
    assert process.wait() == 0
    text = "".join(process.out)
    assert "hunter2" not in text
    assert "port = 81  # variable PORT" in text


def test_version(tsobs_process: StartProcess) -> None:
    for argv in (["version"], ["--version"]):
        process = tsobs_process(*argv)
        assert process.wait() == 0
        assert process.out[0].startswith("tsobs 0.")


def test_maintain_once(tsobs_process: StartProcess, database_url: str) -> None:
    process = tsobs_process("maintain", "--once", DATABASE_URL=database_url)
    assert process.wait() == 0
    assert process.err == ["0 jobs lost\n", "0 chunks dropped\n"]
