"""Jobs as clients see them: what an id means, and the JSON object of a run."""

from __future__ import annotations
