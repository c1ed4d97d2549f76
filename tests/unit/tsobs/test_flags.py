from __future__ import annotations

import argparse

import pytest

from tsobs.errors import SetupError
from tsobs.flags import add_setting_flags, load_settings
from tsobs.settings import declared


def parse(*argv: str, names: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_setting_flags(parser, names)
    return parser.parse_args(argv)


def test_there_is_a_flag_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    for setting in declared():
        assert f"{setting.flag} " in shown
        assert setting.variable in shown


def test_what_is_not_given_does_not_beat_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("TSOBS_INSECURE", "true")
    settings = load_settings(parse("--host", "::1")).settings
    assert (settings.port, settings.insecure, settings.host) == (1, True, "::1")


def test_a_switch_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSOBS_INSECURE", "true")
    assert load_settings(parse("--no-insecure")).settings.insecure is False
    assert load_settings(parse("--insecure")).settings.insecure is True


def test_a_bad_value_names_the_flag() -> None:
    with pytest.raises(SetupError, match=r"port must be .*, not 'x' \(flag --port\)"):
        load_settings(parse("--port", "x"))


def test_only_the_flags_asked_for() -> None:
    given = parse("--database-url", "postgresql://h/d", names=["database_url"])
    assert load_settings(given).settings.database_url == "postgresql://h/d"
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        parse("--port", "1", names=["database_url"])
