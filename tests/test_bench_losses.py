"""The command of docs/losses.md, at its quick size, and what it says of one sample against arithmetic."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "losses.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all that the command writes."""
    out = tmp_path_factory.mktemp("losses")
    command = [sys.executable, ROOT / "bench" / "losses.py", "--quick", "--pictures", out, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def rows(text: str) -> dict[str, list[str]]:
    """Cells of table rows by their first cell; where it comes again, the first one."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("| "):
            continue
        name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        found.setdefault(name, cells)
    return found


def test_every_picture_of_the_page_is_made(made: Path) -> None:
    shown = set(re.findall(r"\]\(losses/(\w+\.png)\)", PAGE.read_text(encoding="utf-8")))
    assert shown == {path.name for path in made.glob("*.png")} == {p.name for p in PAGE.with_suffix("").iterdir()}
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in made.glob("*.png"))


def test_pictures_are_small() -> None:
    sizes = [path.stat().st_size for path in PAGE.with_suffix("").iterdir()]
    assert max(sizes) < 150_000
    assert sum(sizes) < 600_000


def test_every_table_of_the_page_is_made(made: Path) -> None:
    """The page's tables are those of a longer run: same heads, same rows."""
    written, page = rows((made / "losses.md").read_text()), PAGE.read_text(encoding="utf-8")
    assert {name for name in written if f"\n| {name} |" not in page} == set()


def test_one_sample_is_as_the_integrals_say(made: Path) -> None:
    """An edge anywhere: the mean leaves 1/6 squared and 1/3 absolute, the median 1/4 and 1/4."""
    found = rows((made / "losses.md").read_text())
    assert [float(found["L2"][k]) for k in (0, 2, 3)] == pytest.approx([1 / 6, 1 / 3, 0.2754], abs=2e-4)
    assert [float(found["L1"][k]) for k in (0, 2, 3)] == pytest.approx([1 / 4, 1 / 4, 0.2], abs=4e-4)
    assert 1 / 6 < float(found["Charbonnier 0.1"][0]) < 1 / 4
    assert all(float(found[name][5]) < 2e-3 for name in ("L2", "L1", "Charbonnier 0.1", "Charbonnier 0.001", "L0.5"))
