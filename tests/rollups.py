"""Brings the five-minute rollup up to date, as maintenance does in time."""

from __future__ import annotations

import asyncpg

from tsobs.retention import maintain_once

__all__ = ["roll_up"]


async def roll_up(url: str) -> None:
    """Rolls up all that is stored."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("show timescaledb.license") == "timescale":
            await connection.execute(
                "call refresh_continuous_aggregate("
                "'tsobs_store.sample_5m', null, now() - interval '5 minutes')"
            )
        else:
            await maintain_once(url)
    finally:
        await connection.close()
