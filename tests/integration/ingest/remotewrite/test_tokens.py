"""Who may send samples."""

from __future__ import annotations

from tests.fix_service import StartService
from tests.integration.ingest.remotewrite.writing import metric, open_remote
from tests.integration.ingest.sending import Stored
from tests.remotebodies import series, v1_body
from tsobs.db import open_database
from tsobs.routes import Scope
from tsobs.tokens import NewToken, TokenStore


async def test_the_scope_is_needed(
    start_service: StartService, stored: Stored, database_url: str
) -> None:
    async with open_database(database_url, size=1) as database:
        tokens = TokenStore(database)
        others = [
            scope for scope in Scope if scope not in (Scope.PUBLIC, Scope.REMOTE_WRITE, Scope.ADMIN)
        ]
        _, other = await tokens.create(NewToken("other", others))
        _, writer = await tokens.create(NewToken("prometheus", [Scope.REMOTE_WRITE]))
        _, admin = await tokens.create(NewToken("admin", [Scope.ADMIN]))
    url = await start_service()
    sent = v1_body(series(metric()))
    for path in ("/api/v1/write", "/api/v1/push"):
        for token, status in (
            (None, 401),
            ("tsobs_no", 401),
            (other, 403),
            (writer, 204),
            (admin, 204),
        ):
            async with open_remote(url, token) as remote:
                assert (await remote.post(sent, path=path)).status == status
    assert await stored.value("select count(*) from tsobs.sample") == 1


async def test_a_bound_token_writes_no_series(
    start_service: StartService, stored: Stored, database_url: str
) -> None:
    """There is nothing in a series that could be compared with the bound."""
    async with open_database(database_url, size=1) as database:
        token = NewToken("bound", [Scope.REMOTE_WRITE], cluster="x")
        _, secret = await TokenStore(database).create(token)
    async with open_remote(await start_service(), secret) as remote:
        answer = await remote.post(v1_body(series(metric())))
    assert (answer.status, answer.body["details"]["field"]) == (403, "cluster")
    assert await stored.value("select count(*) from tsobs.series") == 0
