"""Who asks: the one thing about a request's token that handlers and queries see."""

from __future__ import annotations

import dataclasses

from aiohttp import web

from tsobs.routes import Scope

__all__ = ["ANONYMOUS", "EVERYBODY", "VIEWER", "Viewer"]


@dataclasses.dataclass(frozen=True, slots=True)
class Viewer:
    """A token's name, scopes and bounds; a bound that is not None narrows everything it does."""

    name: str
    scopes: frozenset[Scope]
    node: str | None = None
    cluster: str | None = None
    user: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether this viewer has a scope; admin has all."""
        return scope is Scope.PUBLIC or scope in self.scopes or Scope.ADMIN in self.scopes


VIEWER = web.RequestKey("viewer", Viewer)

ANONYMOUS = Viewer("anonymous", frozenset())
# Who asks a service that has no tokens.
EVERYBODY = Viewer("everybody", frozenset(Scope))
