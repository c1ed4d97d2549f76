"""`python -m tsobs` is `tsobs`."""

from __future__ import annotations

import sys

from tsobs.cli import main

if __name__ == "__main__":
    sys.exit(main())
