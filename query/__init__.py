"""Reads: /metrics, the REST API and health over the public relations."""

from __future__ import annotations
