"""Runs the agent with `python -m nodeagent`, and from the zipapp."""

from __future__ import annotations

import sys

from nodeagent.main import main

if __name__ == "__main__":
    sys.exit(main())
