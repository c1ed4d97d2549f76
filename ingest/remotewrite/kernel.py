"""The decode kernel in use: the compiled one where it was built, unless TSOBS_KERNEL is `pure`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ingest.remotewrite import ckernel, purekernel

__all__ = ["KERNEL", "SeriesCache", "copy_rows", "identity_text", "read_labels"]

KERNEL = "c" if ckernel.AVAILABLE and os.environ.get("TSOBS_KERNEL") != "pure" else "pure"

if TYPE_CHECKING:
    _kernel = purekernel
else:
    _kernel = ckernel if KERNEL == "c" else purekernel

SeriesCache = _kernel.SeriesCache
copy_rows = _kernel.copy_rows
identity_text = _kernel.identity_text
read_labels = _kernel.read_labels
