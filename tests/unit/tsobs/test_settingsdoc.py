from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsobs.settings import declared, load
from tsobs.settingsdoc import mask, render_markdown, render_values


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@ss:w@h:5/d", "postgresql://u:***@h:5/d"),
        ("postgresql://u:p/w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?user=u&password=p&x=1", "postgresql://h/d?user=u&password=***&x=1"),
    ],
)
def test_mask(url: str, shown: str) -> None:
    assert mask(url) == shown


@given(st.text(min_size=1).filter(lambda text: "\n" not in text))
def test_no_password_gets_through(password: str) -> None:
    secret = f"s3cr3t{password}"
    assert "s3cr3t" not in mask(f"postgresql://u:{secret}@h/d")


def test_values_are_toml_that_gives_the_same_settings_again() -> None:
    loaded = load({"cluster": "a.b", "insecure": True, "request_timeout_s": "2.5"}, {})
    again = load(tomllib.loads(render_values(loaded)), {})
    assert again.settings == loaded.settings


def test_values_mask_secrets_and_name_origins() -> None:
    text = render_values(load({}, {"DATABASE_URL": "postgresql://u:hunter2@h/d", "PORT": "1"}))
    assert "hunter2" not in text
    assert 'database_url = "postgresql://u:***@h/d"  # variable DATABASE_URL' in text
    assert "port = 1  # variable PORT" in text
    assert "# read_database_url is not set" in text


def test_every_setting_has_its_row() -> None:
    text = render_markdown()
    for setting in declared():
        assert f"| `{setting.name}` |" in text
        assert f"`{setting.flag}`" in text
        for variable in (setting.variable, *setting.aliases):
            assert f"`{variable}`" in text
