"""`tsobs token create|list|revoke|delete`."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import re
from typing import Any

from tsobs.db import open_database
from tsobs.errors import NotFound, ValidationError
from tsobs.flags import add_setting_flags, settings_with_database
from tsobs.migrate import check_schema
from tsobs.output import complain, say, table
from tsobs.routes import Scope
from tsobs.tokens import NewToken, StoredToken, TokenStore

__all__ = ["add_parser"]

_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31557600.0}
_SCOPES = [scope.value for scope in Scope if scope is not Scope.PUBLIC]
_EPILOG = """\
examples:
  tsobs token create --name agents --scope agent
  tsobs token create --name n1 --scope agent --node n1 --expires 90d
  tsobs token create --name alice --scope read --user alice
  TOKEN=$(tsobs token create --name prometheus --scope read)

The token itself is shown once and stored nowhere. As soon as there is a token, even a revoked one,
the service asks every client for one; `delete` forgets a token, and without any a service on
127.0.0.1 is open to this machine again.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `tsobs token` and its actions."""
    parser = commands.add_parser(
        "token",
        description="Access tokens: who may do what.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_create(actions)
    listing = actions.add_parser("list", help="every token, without its secret")
    listing.set_defaults(act=_list)
    for name, act, help_text in (
        ("revoke", _revoke, "make a token useless, within seconds"),
        ("delete", _delete, "forget a token"),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("token", help="its id or its name")
        action.set_defaults(act=act)
    for action in actions.choices.values():
        add_setting_flags(action, ["database_url"])
        action.set_defaults(run=_run)


def _add_create(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    create = actions.add_parser("create", help="make a token and print it")
    create.add_argument("--name", required=True, help="who has it, as logs will show it")
    create.add_argument(
        "--scope",
        required=True,
        action="append",
        choices=_SCOPES,
        help="what it may do; repeat for several; admin implies all",
    )
    create.add_argument("--node", help="writes for this node only (agent, events)")
    create.add_argument("--cluster", help="for this cluster only")
    create.add_argument("--user", help="sees this user's jobs only (read)")
    create.add_argument(
        "--expires", metavar="TIME", type=_duration, help="for how long, such as 12h, 90d or 1y"
    )
    create.set_defaults(act=_create)


def _duration(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,9})([smhdwy])", text)
    if match is None:
        raise argparse.ArgumentTypeError("must be a number and s, m, h, d, w or y, such as 90d")
    return int(match[1]) * _UNIT_S[match[2]]


def _run(args: argparse.Namespace) -> int:
    asyncio.run(_act(settings_with_database(args).database_url or "", args))
    return 0


async def _act(url: str, args: argparse.Namespace) -> None:
    await check_schema(url)
    async with open_database(url, size=1, application_name="tsobs token") as database:
        await args.act(TokenStore(database), args)


async def _create(store: TokenStore, args: argparse.Namespace) -> None:
    if any(token.name == args.name and not token.revoked_at for token in await store.list()):
        raise ValidationError(f"there is a token {args.name} already: revoke it, or choose a name")
    wanted = NewToken(
        name=args.name,
        scopes=[Scope(scope) for scope in args.scope],
        node=args.node,
        cluster=args.cluster,
        user=args.user,
        expires_in_s=args.expires,
    )
    token, secret = await store.create(wanted)
    complain(f"token {token.id} ({token.name}): {_describe(token)}. It is shown this once:")
    say(secret)


async def _list(store: TokenStore, args: argparse.Namespace) -> None:
    now = datetime.datetime.now(datetime.UTC)
    tokens = await store.list()
    if not tokens:
        complain("there is no token: a service on 127.0.0.1 lets this machine in without one")
        return
    heads = ["id", "name", "state", "may", "last used", "expires"]
    rows = [
        [
            str(token.id),
            token.name,
            token.state(now),
            _describe(token),
            _moment(token.last_used_at),
            _moment(token.expires_at),
        ]
        for token in tokens
    ]
    say(table(heads, rows))


async def _revoke(store: TokenStore, args: argparse.Namespace) -> None:
    name = await store.revoke(await _identify(store, args.token))
    complain(f"token {name} is revoked: running services refuse it within seconds")


async def _delete(store: TokenStore, args: argparse.Namespace) -> None:
    name = await store.delete(await _identify(store, args.token))
    complain(f"token {name} is deleted")


async def _identify(store: TokenStore, wanted: str) -> int:
    """The id of a token given by id, or by a name that only one token has."""
    tokens = await store.list()
    found = [token.id for token in tokens if str(token.id) == wanted]
    found = found or [t.id for t in tokens if t.name == wanted and t.revoked_at is None]
    found = found or [t.id for t in tokens if t.name == wanted]
    if len(found) != 1:
        problem = "several tokens are" if found else "no token is"
        raise NotFound(f"{problem} called {wanted}: `tsobs token list` shows their ids")
    return found[0]


def _describe(token: StoredToken) -> str:
    bounds: list[tuple[str, Any]] = [
        ("node", token.node),
        ("cluster", token.cluster),
        ("user", token.user),
    ]
    bound = " ".join(f"{name}={value}" for name, value in bounds if value)
    return ",".join(token.scopes) + (f" {bound}" if bound else "")


def _moment(value: datetime.datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC") if value else "-"
