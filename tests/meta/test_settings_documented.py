"""docs/configuration.md has the table that the code would print, and every variable there is."""

from __future__ import annotations

import re

from tests.meta.sources import ROOT, modules, texts
from tsobs.routes import ROUTES, Scope
from tsobs.settings import declared
from tsobs.settingsdoc import render_markdown

DOCUMENT = ROOT / "docs" / "configuration.md"


def test_the_table_is_the_one_of_the_code() -> None:
    found = re.search(
        r"<!-- settings: begin -->\n(.*)<!-- settings: end -->", DOCUMENT.read_text(), re.DOTALL
    )
    assert found is not None
    assert found[1] == render_markdown(), "put in what `tsobs settings --markdown` prints"


def test_every_variable_that_the_service_reads_is_documented() -> None:
    text = DOCUMENT.read_text()
    read = {
        match
        for path in modules("tsobs", "ingest", "query")
        for constant in texts(path)
        for match in re.findall(r"\bTSOBS_[A-Z_]*[A-Z]\b", str(constant.value))
    }
    known = {setting.variable for setting in declared()}
    # A prefix is no variable.
    variables = {name for name in read - known if name not in {"TSOBS_TEST", "TSOBS_BENCH"}}
    missing = {name for name in variables if f"`{name}`" not in text and "SERVICE" not in name}
    assert not missing


def test_every_route_is_in_the_table_of_scopes() -> None:
    table = DOCUMENT.read_text().partition("| scope | routes |")[2].partition("\n\n")[0]
    rows = {row.split("|")[1].strip(" `"): row for row in table.splitlines() if "|" in row}
    for route in ROUTES:
        scope = "(none)" if route.scope is Scope.PUBLIC else route.scope.value
        assert route.method in rows[scope]
        assert f"{route.path}`" in rows[scope]
