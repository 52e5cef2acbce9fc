"""Synthetic clips that several tests share, made once per session by the ffmpeg binary."""

from __future__ import annotations

import atexit
import copy
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import pytest

# Before torch is loaded, here and in every program that a test starts: its threads wait for each other by spinning, so
# that two of them take minutes instead of seconds on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A site of the tests' own. Programs that a test starts find it by these as well.
if "SUBPIXEL_FOLDER" not in os.environ:
    os.environ["SUBPIXEL_FOLDER"] = tempfile.mkdtemp(prefix="subpixel-site-")
    atexit.register(shutil.rmtree, os.environ["SUBPIXEL_FOLDER"], ignore_errors=True)
os.environ.setdefault("SUBPIXEL_URL", "http://localhost:8000")
os.environ.setdefault("SUBPIXEL_SECRET", "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "subpixel.site.settings")
django.setup()

MakeClip = Callable[..., Path]
Ship = Callable[..., Path]
ROOT = Path(__file__).parent.parent
UNTESTED = (
    "NOT TESTED: MegEngine, for no CPython 3.10 on x86-64 was found; make megengine PYTHON310=/path/to/python3.10"
)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-threads", "1")


def ffmpeg(*arguments: object, data: bytes | None = None) -> bytes:
    """Runs the ffmpeg binary and returns its standard output; a failure shows what it said."""
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=data or b"", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """make_clip(name="clip.mp4", *options, size="160x96", rate="25", frames=24, picture="testsrc2", codec=X264).

    A moving test picture, encoded; options go to ffmpeg before the output's name. Made once for equal arguments.
    """
    made: dict[tuple[object, ...], Path] = {}

    def make(
        name: str = "clip.mp4",
        *options: object,
        size: str = "160x96",
        rate: str = "25",
        frames: int = 24,
        picture: str = "testsrc2",
        codec: tuple[str, ...] = X264,
    ) -> Path:
        key = (name, *options, size, rate, frames, picture, codec)
        if key not in made:
            path = tmp_path_factory.mktemp("clip") / name
            source = f"{picture}=size={size}:rate={rate}"
            ffmpeg("-f", "lavfi", "-i", source, "-frames:v", frames, *codec, *options, f"file:{path}")
            made[key] = path
        return made[key]

    return make


@pytest.fixture(scope="session")
def sample_clip(make_clip: MakeClip) -> Path:
    """160x96 H.264 in MP4, 24 frames at 25/s, with B-frames, per-macroblock QP and nothing but video."""
    return make_clip("sample clip.mp4")


@pytest.fixture(scope="session")
def cut_clip(make_clip: MakeClip) -> Path:
    """160x96 H.264, 60 frames at 25/s: a cut from one picture to quite another after 30 frames."""
    second = "color=0x203060:size=160x96:rate=25,drawgrid=w=20:h=20:c=white,trim=end_frame=30[b]"
    joined = f"[0]trim=end_frame=30[a];{second};[a][b]concat"
    return make_clip("cut.mp4", "-filter_complex", joined, frames=60)


@pytest.fixture(scope="session")
def rich_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Matroska with everything to carry through.

    160x96 H.264 (25 frames at 25/s, SAR 32:27, BT.709 tags), two audio tracks (eng, and deu 0.2 s late), SRT
    subtitles, two chapters, a font attachment, title and comment.
    """
    folder = tmp_path_factory.mktemp("rich")
    (folder / "words.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,600\nHello\n\n2\n00:00:00,700 --> 00:00:00,900\nBye\n"
    )
    (folder / "font.ttf").write_bytes(bytes(range(256)))
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=Rich clip\ncomment=made for tests\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=First\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=Second\n"
    )
    path = folder / "rich.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25:duration=1",
        "-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-itsoffset", "0.2",
        "-f", "lavfi", "-i", "sine=frequency=660:duration=0.7",
        "-i", folder / "words.srt", "-i", folder / "chapters.txt",
        "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4", "-map_chapters", "4",
        "-attach", folder / "font.ttf", "-metadata:s:t", "mimetype=application/x-truetype-font",
        *X264, "-vf", "setsar=32/27", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
        "-color_range", "tv", "-c:a", "aac", "-b:a", "64k", "-c:s", "srt",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", "-metadata:s:a:1", "title=Deutsch",
        "-metadata:s:s:0", "language=fra", path,
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64x48 H.264, 310 frames at 25/s in four shots of 60, 70, 100 and 80 frames; AAC sound."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    pictures = ("testsrc=s=64x48", "color=navy:s=64x48", "mandelbrot=s=64x48", "color=yellow:s=64x48")
    inputs = [word for picture in pictures for word in ("-f", "lavfi", "-i", f"{picture}:r=25")]
    cuts = ";".join(f"[{i}]trim=end_frame={n},setsar=1,format=yuv420p[v{i}]" for i, n in enumerate((60, 70, 100, 80)))
    graph = f"{cuts};[v0][v1][v2][v3]concat=n=4[v]"
    sound = ("-f", "lavfi", "-i", "sine=duration=12.4", "-map", "[v]", "-map", "4:a", "-c:a", "aac")
    ffmpeg(*inputs, *sound[:4], "-filter_complex", graph, *sound[4:], *X264, path)
    return path


@pytest.fixture(scope="session")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Ship:
    """ship(net, **facts) -> path of the network as an .onnx file with its card, which says the facts too.

    The network is left as it was; the file has it in its fused form. A bidirectional one gets its second file.
    """
    from subpixel.learn.export import write
    from subpixel.models import describe

    def make(net: Any, **facts: object) -> Path:
        path = tmp_path_factory.mktemp("network") / "mine.onnx"
        net = copy.deepcopy(net).fuse().eval()
        card = {**describe(net), "name": "mine", "file": path.name, **facts, "sha256": write(net, "step", path)}
        if card["later"]:
            back = path.with_name("mine.back.onnx")
            card["back"] = {"file": back.name, "sha256": write(net, "back", back)}
        path.with_suffix(".json").write_text(json.dumps(card))
        return path

    return make


def trained_like(kind: Any, options: Any, seed: int = 0, strength: float = 0.02) -> Any:
    """A torch network of this kind with noise on all its weights, so that every part of it shows in the picture."""
    import torch

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        net = kind(options)
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=strength)
    return net.eval()


@pytest.fixture(scope="session")
def megengine() -> Path:
    """The Python that has MegEngine; its environment is made where a CPython 3.10 is found, which takes minutes."""
    made = subprocess.run(["make", "--silent", "megengine"], cwd=ROOT, capture_output=True, text=True)
    if "none was found" in made.stderr:
        pytest.skip(UNTESTED)
    assert made.returncode == 0, made.stderr
    return ROOT / ".venv-mge" / "bin" / "python"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say it once more, loudly, where a part of the package went untested."""
    if any(UNTESTED in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_sep("!", UNTESTED, red=True, bold=True)
