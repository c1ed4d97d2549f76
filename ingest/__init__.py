"""Writes: agent batches and lifecycle events into the database."""

from __future__ import annotations
