"""Start and picture take no more of a core than promised; `make bench-tiny` tells how much."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from tiny_pace import PICTURE_GOAL, measured


def test_the_server_is_up_and_draws_within_its_share_of_a_core() -> None:
    result = measured(rounds=2, pictures=2)
    assert result["picture_processor_s"] <= PICTURE_GOAL
    # The imports are most of it; against them the speed of the machine does not count.
    assert result["up_to_bare_imports"] <= 3
