"""What bandit finds in the site is answered on the page on hosting, and nothing else is found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_every_finding_has_its_answer() -> None:
    parts = [ROOT / "src" / "subpixel" / part for part in ("site", "challenge", "cli")]
    command = [sys.executable, "-m", "bandit", "-q", "-f", "json", "-r", *map(str, parts)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(done.stdout)["results"]
    assert {one["issue_severity"] for one in found} <= {"LOW"}
    text = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    answered = {
        (finding, place)
        for row in re.findall(r"^\| (B[^|]*) \| ([^|]*) \|", text, re.M)
        for finding in re.findall(r"B\d+", row[0])
        for place in re.findall(r"`([^`]+)`", row[1])
    }
    package = ROOT / "src" / "subpixel"
    assert {(one["test_id"], str(Path(one["filename"]).relative_to(package))) for one in found} == answered
