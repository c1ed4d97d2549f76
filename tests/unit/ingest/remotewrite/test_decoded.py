"""The limits are the same in both kernels."""

from __future__ import annotations

from ingest.remotewrite import ckernel
from ingest.remotewrite.decoded import Limits

LIMITS = {name: value for name, value in vars(Limits).items() if name.isupper()}


def test_the_compiled_kernel_has_the_same() -> None:
    if ckernel.AVAILABLE:
        from ingest.remotewrite import _kernel

        assert _kernel.LIMITS == LIMITS
    assert len(LIMITS) == 9
