"""Promise 10, small: kill -9 of any process of the site loses nothing and counts nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from served import environment

BENCH = Path(__file__).parent.parent.parent / "bench" / "site.py"


def test_a_storm_of_kills() -> None:
    """bench/site.py checks each hand-in, its score, file, events and mails, and the board; nothing may be wrong."""
    command = [sys.executable, BENCH, "storm", "--hand-ins", "5", "--kills", "10", "--seed", "3"]
    with environment() as values:
        done = subprocess.run(command, env=values, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["problems"] == 0
    assert report["hand_ins"] == 5
    assert sum(report["kills"].values()) == 10
