from __future__ import annotations

import pytest

from ingest.quarrel import TRIES, is_quarrel, retried
from tsobs.errors import Overloaded


@pytest.mark.parametrize(
    ("sqlstate", "passes"), [("40P01", True), ("40001", True), ("57P01", False), (None, False)]
)
async def test_only_a_quarrel_is_tried_again(sqlstate: str | None, passes: bool) -> None:
    error = Overloaded("not now", sqlstate=sqlstate)
    assert is_quarrel(error) is passes
    tries = 0

    async def transaction() -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise error
        return tries

    if passes:
        assert await retried(transaction) == 2
    else:
        with pytest.raises(Overloaded):
            await retried(transaction)
        assert tries == 1


async def test_what_does_not_pass_is_given_up() -> None:
    tries = 0

    async def transaction() -> None:
        nonlocal tries
        tries += 1
        raise Overloaded("not now", sqlstate="40P01")

    with pytest.raises(Overloaded):
        await retried(transaction)
    assert tries == TRIES
