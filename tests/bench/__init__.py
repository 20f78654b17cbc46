"""Benches: figures beside what they are measured against; nothing fails on a wall time.

Run from the root of the repository, such as `python -m tests.bench.first_cell`.
"""

import sys
from pathlib import Path

# What `pythonpath` in pyproject.toml is to pytest.
_TESTS = Path(__file__).parents[1]
sys.path += [p for p in (str(_TESTS), str(_TESTS / "kernel")) if p not in sys.path]
