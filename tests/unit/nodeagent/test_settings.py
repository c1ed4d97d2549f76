"""Settings: one table; flags, variables and the page about them say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeagent.collectors import COLLECTOR_NAMES
from nodeagent.settings import Settings, SettingsError, load, table

DOCS = Path(__file__).parents[3] / "docs" / "agent.md"


def test_defaults() -> None:
    request = load([], {})
    assert request.settings == Settings()
    assert (request.once, request.print) == (False, False)
    assert request.settings.interval_s == 15.0


def test_a_flag_beats_a_variable_beats_the_default(tmp_path: Path) -> None:
    environ = {
        "TSOBS_AGENT_INTERVAL": "30",
        "TSOBS_AGENT_URL": "https://tsobs.example.org/",
        "TSOBS_AGENT_NODE_ALIAS": "a, b",
        "TSOBS_OTHER": "not ours",
    }
    settings = load(["--interval", "5", "--state-dir", str(tmp_path)], environ).settings
    assert settings.interval_s == 5.0
    assert settings.url == "https://tsobs.example.org"
    assert settings.node_alias == ("a", "b")
    assert settings.state_dir == tmp_path


@pytest.mark.parametrize(
    ("arguments", "environ", "says"),
    [
        (["--interval", "0"], {}, "--interval: '0': give 0.2 to 3600 seconds"),
        (["--interval", "soon"], {}, "--interval"),
        ([], {"TSOBS_AGENT_INTERVAL": "x"}, "TSOBS_AGENT_INTERVAL"),
        ([], {"TSOBS_AGENT_INTERVALL": "15"}, "TSOBS_AGENT_INTERVALL: there is no such setting"),
        (["--url", "tsobs:8080"], {}, "--url"),
        (["--url", "http://"], {}, "--url"),
        (["--url", "http://me:secret@host"], {}, "--url"),
        (["--url", "http://host:port"], {}, "--url"),
        (["--token-file", "/nowhere/token"], {}, "--token-file"),
        (["--cgroup-root", "/nowhere"], {}, "--cgroup-root"),
        (["--node-name", "a b"], {}, "--node-name"),
        (["--disable", "job_cpu,no_such"], {}, "no_such"),
        (["--log-level", "loud"], {}, "--log-level"),
        (["--spool-max-bytes", "-1"], {}, "--spool-max-bytes"),
        (["--print"], {}, "--print: goes with --once"),
    ],
)
def test_a_bad_value_is_named(arguments: list[str], environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(arguments, environ)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("4k", 4096), ("256M", 256 * 1024**2), ("1G", 1024**3)]
)
def test_sizes(text: str, size: int) -> None:
    assert load(["--spool-max-bytes", text], {}).settings.spool_max_bytes == size


def test_collectors_are_switched() -> None:
    environ = {"TSOBS_AGENT_DISABLE": "job_cpu,node_disk"}
    arguments = ["--collector.job_cpu", "--no-collector.job_io"]
    assert load(arguments, environ).settings.disable == ("job_io", "node_disk")


def test_the_docs_name_every_setting_and_collector() -> None:
    text = DOCS.read_text()
    for flag, variable, default, _ in table():
        assert f"`{flag}`" in text
        assert f"`{variable}`" in text
        assert not default or default in text
    for name in COLLECTOR_NAMES:
        assert f"`{name}`" in text


def test_unknown_flags_and_shortened_ones_stop_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["--no-such"], ["--inter", "5"]):
        with pytest.raises(SystemExit) as caught:
            load(arguments, {})
        assert caught.value.code == 2
    assert "--no-such" in capsys.readouterr().err
