from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tsobs.errors import SetupError
from tsobs.settings import Settings, declared, load


def test_defaults_hold_by_their_own_rules() -> None:
    loaded = load({}, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    for setting in declared():
        if setting.default is not None:
            assert setting.kind.parse(setting.default) == setting.default


def test_listens_on_loopback_unless_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"
    assert Settings().insecure is False


def test_flag_beats_variable_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "tsobs.toml"
    file.write_text("port = 3\nworkers = 3\nhost = '::1'\n")
    environ = {"TSOBS_PORT": "2", "TSOBS_WORKERS": "2"}
    loaded = load({"port": "1"}, environ, file)
    assert (loaded.settings.port, loaded.settings.workers, loaded.settings.host) == (1, 2, "::1")
    assert loaded.settings.log_level == "info"
    assert loaded.origins["port"] == "flag --port"
    assert loaded.origins["workers"] == "variable TSOBS_WORKERS"
    assert loaded.origins["host"] == f"file {file}"


@pytest.mark.parametrize(
    ("name", "text", "setting", "value"),
    [
        ("DATABASE_URL", "postgresql://h/d", "database_url", "postgresql://h/d"),
        ("HOST", "::1", "host", "::1"),
        ("PORT", "81", "port", 81),
        ("METRICS_RETENTION_DAYS", "30", "metrics_retention_days", 30),
        ("CLUSTER", "alpha", "cluster", "alpha"),
        ("CORS_ORIGIN", "https://a.example", "cors_origin", "https://a.example"),
        ("LOG_LEVEL", "WARNING", "log_level", "warning"),
    ],
)
def test_names_that_other_systems_use(name: str, text: str, setting: str, value: object) -> None:
    loaded = load({}, {name: text})
    assert getattr(loaded.settings, setting) == value
    assert loaded.origins[setting] == f"variable {name}"


def test_our_own_name_beats_the_borrowed_one() -> None:
    assert load({}, {"PORT": "1", "TSOBS_PORT": "2"}).settings.port == 2


def test_an_empty_variable_is_not_set() -> None:
    assert load({}, {"TSOBS_PORT": "", "PORT": "", "DATABASE_URL": ""}).settings == Settings()


def test_the_file_may_come_from_its_variable(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("insecure = true\n")
    assert load({}, {"TSOBS_CONFIG": str(file)}).settings.insecure is True


def test_every_mistake_is_named_at_once_with_rule_and_origin(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("workers = 'many'\nretention = 5\n[table]\nx = 1\n")
    environ = {"PORT": "http", "TSOBS_PROT": "1"}
    with pytest.raises(SetupError) as raised:
        load({"role": "both"}, environ, file)
    text = raised.value.message
    assert "port must be a whole number from 0 to 65535, not 'http' (variable PORT)" in text
    assert f"workers must be a whole number from 1 to 64, not 'many' (file {file})" in text
    assert "role must be one of all, ingest, query, not 'both' (flag --role)" in text
    assert "TSOBS_PROT is no setting (variable); did you mean TSOBS_PORT?" in text
    assert f"retention is no setting (file {file})" in text
    assert f"table is no setting (file {file})" in text


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(SetupError) as raised:
        load({}, {"DATABASE_URL": "mysql://u:hunter2@h/d"})
    assert "database_url" in raised.value.message
    assert "hunter2" not in raised.value.message


def test_secrets_are_not_in_the_repr() -> None:
    settings = load({}, {"DATABASE_URL": "postgresql://u:hunter2@h/d"}).settings
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("name", ["TSOBS_SERVICE_HOST", "TSOBS_PORT_8080_TCP_ADDR"])
def test_variables_that_kubernetes_sets_are_explained(name: str) -> None:
    with pytest.raises(SetupError, match="enableServiceLinks: false"):
        load({}, {name: "10.0.0.1"})
    with pytest.raises(SetupError, match="enableServiceLinks: false"):
        load({}, {"TSOBS_PORT": "tcp://10.0.0.1:8080"})


@pytest.mark.parametrize("name", ["TSOBS_CACHE_DIR", "TSOBS_DATA_DIR", "TSOBS_TEST_PG_BIN"])
def test_variables_of_the_other_programs_pass(name: str) -> None:
    assert load({}, {name: "x"}).settings == Settings()


@pytest.mark.parametrize("content", [b"port = ", b"\xff", b"= 1"])
def test_a_file_that_is_no_toml_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with pytest.raises(SetupError, match=r"x\.toml is not TOML"):
        load({}, {}, file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none\.toml: No such file"):
        load({}, {}, tmp_path / "none.toml")


def test_limits_must_not_contradict_each_other() -> None:
    with pytest.raises(SetupError, match="max_decoded_bytes must be at least max_body_bytes"):
        load({"max_decoded_bytes": "1024"}, {})


def test_names_are_unique_over_all_sources() -> None:
    names = [name for s in declared() for name in (s.variable, *s.aliases)]
    assert len(names) == len(set(names))
    assert {s.name for s in declared()} == {f.name for f in dataclasses.fields(Settings)}


def test_a_unit_in_a_name_is_a_base_unit_or_declared() -> None:
    for setting in declared():
        if setting.name.endswith(("_s", "_bytes", "_ms", "_days")):
            assert setting.unit, setting.name
