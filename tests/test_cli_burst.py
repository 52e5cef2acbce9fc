"""subpixel burst, as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
import rawpy
from typer.testing import CliRunner

from bursts import burst, mosaic_of, psnr, write_dng
from conftest import MakeClip
from subpixel import pictures
from subpixel.cli import app
from subpixel.errors import SubpixelError


def run(*arguments: object) -> str:
    """What the command printed on standard output."""
    done = CliRunner().invoke(app, ["burst", *map(str, arguments)])
    if isinstance(done.exception, SubpixelError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def dngs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder of six DNGs, and their scene."""
    folder = tmp_path_factory.mktemp("dngs")
    scene, frames, _ = burst(6, size=64)
    for k, frame in enumerate(frames):
        write_dng(folder / f"f{k}.dng", mosaic_of(frame), exposure=0.01, iso=100)
    return folder, scene


def test_raw_frames_become_every_kind_of_output(dngs: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, scene = dngs
    plot = tmp_path / "p.png"
    facts = json.loads(run(folder, "-o", tmp_path / "a.tif", "--psf", 0, "--linear", "--json", "--plot", plot))
    assert (facts["width"], facts["height"], len(facts["frames"])) == (128, 128, 6)
    assert facts["noise"]["b"] > 0
    assert pictures.load(plot).samples.shape == (32, 32, 3)
    linear = pictures.load(tmp_path / "a.tif")
    assert linear.bits == 16
    assert psnr(linear.data, scene) > 27
    printed = run(folder, "-o", tmp_path / "a.dng", "--psf", 0)
    assert "128x128 of 6 frames" in printed
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        assert np.abs(raw.raw_image[..., :3] / 65535 - linear.data).mean() < 0.004
    run(folder, "-o", tmp_path / "a.png", "--psf", 0, "--noise", "0,0.0001", "--scale", 1)
    shown = pictures.load(tmp_path / "a.png")
    assert (shown.bits, shown.size) == (16, (64, 64))
    assert shown.data.mean() > 1.2 * linear.data.mean()  # in the tones of a display


def test_frames_of_a_film(make_clip: MakeClip, tmp_path: Path) -> None:
    still = make_clip("still.mkv", frames=8, picture="mandelbrot", size="128x96", codec=("-c:v", "ffv1"))
    printed = run(still, "-o", tmp_path / "a.png", "--end", "0.12", "--model", "homography")
    assert "256x192 of 3 frames" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-o", "a.bmp"], 2, r"end it in \.png"),
        (["-o", "a.png", "--psf", "wide"], 2, "--psf takes auto or a number, not 'wide'"),
        (["-o", "a.png", "--noise", "1"], 2, "--noise takes auto or 2 numbers"),
        (["-o", "a.png", "--scale", "9"], 2, "The scale is from 1 to 4"),
        (["-o", "no/a.png"], 7, "does not exist"),
        (["-o", "a.png", "--reference", "6"], 2, "There is no frame 6"),
    ],
)
def test_wrong_requests(
    dngs: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SubpixelError, match=sentence) as caught:
        run(dngs[0], *arguments)
    assert caught.value.exit_code == code
    assert list(tmp_path.iterdir()) == []


def test_bad_bursts_leave_no_output(dngs: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    for number, brightness in enumerate((0.2, 0.8)):
        level = np.random.default_rng(number).random((64, 64)) * brightness
        write_dng(tmp_path / f"mixed{number}.dng", level)
        write_dng(tmp_path / f"flat{number}.dng", np.full((64, 64), 0.5))
    cut = tmp_path / "cut.dng"
    cut.write_bytes((dngs[0] / "f0.dng").read_bytes()[:3000])
    out = tmp_path / "a.png"
    for frames, sentence in (
        ([tmp_path / "mixed0.dng", tmp_path / "mixed1.dng"], "the files do not say how they were exposed"),
        ([tmp_path / "flat0.dng", tmp_path / "flat1.dng"], "cannot be registered"),
        ([dngs[0] / "f0.dng", cut], "damaged, cut off"),
        ([dngs[0] / "f0.dng"], "is a single frame"),
    ):
        with pytest.raises(SubpixelError, match=sentence) as caught:
            run(*frames, "-o", out)
        assert caught.value.exit_code == 4
        assert not out.exists()


def test_a_dng_of_developed_frames_is_refused(tmp_path: Path) -> None:
    _, frames, _ = burst(2, size=48)
    for k, frame in enumerate(frames):
        pictures.save(tmp_path / f"{k}.png", frame)
    with pytest.raises(SubpixelError, match=r"these frames are developed; write a \.tif file"):
        run(tmp_path / "0.png", tmp_path / "1.png", "-o", tmp_path / "a.dng")
    assert not (tmp_path / "a.dng").exists()
