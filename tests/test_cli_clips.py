"""The commands clips build, check, show and split: what they print and how they end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from conftest import MakeClip
from subpixel.cli import app
from subpixel.errors import BatchError, UsageError, VerificationError


def run(*arguments: object) -> str:
    """Standard output; what the command raises is raised here."""
    done = CliRunner().invoke(app, ["clips", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def store(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    films = [make_clip("one.mp4"), make_clip("two.mp4", picture="testsrc")]
    printed = run("build", *films, "-o", folder, "--variants", "1", "--jobs", "1")
    assert printed == f"{folder}: 2 clips (2 new), 48 frames, 0.9 MB\n"
    return folder


def test_from_films_to_a_split_store(store: Path, tmp_path: Path) -> None:
    assert run("check", store, "--jobs", 1).startswith(f"{store}: all is well: 2 clips of 2 scenes, 48 frames, 0 clips")
    assert run("split", store, "--validation", 0.5).endswith("1 clips set apart for validation.\n")
    assert run("show", store, "-o", tmp_path / "sheet.png") == f"{tmp_path / 'sheet.png'}: 2 clips\n"
    with pytest.raises(UsageError, match=r"sheet\.png exists; add -y to replace it"):
        run("show", store, "-o", tmp_path / "sheet.png")
    run("show", store, "-o", tmp_path / "sheet.png", "-y", "--clips", 1)


def test_damage_ends_with_an_error(store: Path) -> None:
    (store / "two.000.0" / "qp.npy").rename(store / "two.000.0" / "away")
    with pytest.raises(VerificationError, match="1 problems"):
        run("check", store, "--jobs", 1)
    (store / "two.000.0" / "away").rename(store / "two.000.0" / "qp.npy")


def test_some_sources_that_fail_end_with_an_error(make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film" * 100)
    films = make_clip("one.mp4"), tmp_path / "broken.mp4"
    with pytest.raises(BatchError, match="1 sources could not be used; the clips of the others are in"):
        run("build", *films, "-o", tmp_path / "store", "--variants", "1", "--jobs", "1")
    assert (tmp_path / "store" / "manifest.json").exists()
