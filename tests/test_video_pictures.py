"""PNG folders and pipes, read back by the ffmpeg binary."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from conftest import ffmpeg
from subpixel.color import to_rgb
from subpixel.errors import DiskError, UsageError
from subpixel.frames import Color, Frame
from subpixel.video import write_images, write_pipe
from subpixel.video.pictures import rgb16
from test_video_write import moving, raw


def png(path: Path, name: str, dtype: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.frombuffer(ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", name, "-"), dtype)


@pytest.mark.parametrize("name", ["yuv420p", "gray", "gbrp", "yuva444p"])
def test_eight_bits_become_eight_bit_rgb(tmp_path: Path, name: str) -> None:
    frames = moving(3, 37, 20, name)
    assert write_images(tmp_path / "new" / "folder", frames) == 3
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert [file.name for file in files] == ["000001.png", "000002.png", "000003.png"]
    for frame, file in zip(frames, files, strict=True):
        np.testing.assert_array_equal(png(file, "rgb24", "u1").reshape(20, 37, 3), to_rgb(frame))


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv444p12le", "gray10le", "gbrp16le"])
def test_more_bits_become_sixteen_bit_rgb(tmp_path: Path, name: str) -> None:
    (frame,) = moving(1, 64, 48, name, Color(matrix=1))
    write_images(tmp_path, [frame])
    sixteen = png(tmp_path / "000001.png", "rgb48le", "<u2").reshape(48, 64, 3)
    np.testing.assert_array_equal(sixteen, rgb16(frame))
    assert len(np.unique(sixteen)) > 256
    np.testing.assert_allclose(sixteen / 257, to_rgb(frame), atol=0.51)


def test_sixteen_bit_rgb_of_known_colours() -> None:
    """EBU bars, BT.709, 10 bits, limited range: white, yellow, cyan, green, magenta, red, blue, black at 100 %."""
    codes = [(940, 512, 512), (877, 64, 553), (754, 615, 64), (691, 167, 105), (313, 857, 919), (250, 409, 960),
             (127, 960, 471), (64, 512, 512)]  # fmt: skip
    planes = tuple(np.array([[code[i] for code in codes]], np.uint16) for i in range(3))
    rgb = rgb16(Frame(planes, "yuv444p10le", color=Color(matrix=1, range=1)))[0] / 65535
    expected = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
    np.testing.assert_allclose(rgb, expected, atol=2e-3)


def test_images_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError, match=r"Cannot write .*file/images: Not a directory"):
        write_images(tmp_path / "file" / "images", moving(1, 16, 16))


@pytest.mark.parametrize(
    "name",
    ["yuv420p", "yuv422p", "yuv444p", "gray", "yuva444p", "yuv420p10le", "yuv422p12le", "yuv444p16le", "gray10le"],
)
def test_y4m_is_what_ffmpeg_reads(tmp_path: Path, name: str) -> None:
    frames = [frame.replace(time_base=Fraction(1001, 24000), sar=Fraction(32, 27)) for frame in moving(3, 33, 17, name)]
    pipe = io.BytesIO()
    assert write_pipe(pipe, frames, container="y4m") == 3
    path = tmp_path / "pipe.y4m"
    path.write_bytes(pipe.getvalue())
    assert ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", name, "-") == raw(frames)
    shown = subprocess.run(["ffprobe", "-v", "error", "-show_entries",
                            "stream=r_frame_rate,sample_aspect_ratio,pix_fmt", "-of", "csv=p=0", path],
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert shown.strip() == f"32:27,{name},24000/1001"


def test_y4m_says_its_range() -> None:
    for code, word in ((1, b"XCOLORRANGE=LIMITED"), (2, b"XCOLORRANGE=FULL")):
        pipe = io.BytesIO()
        write_pipe(pipe, moving(1, 16, 16, color=Color(range=code)), container="y4m", rate=Fraction(30))
        head = pipe.getvalue().split(b"\n")[0].split(b" ")
        assert {b"YUV4MPEG2", b"W16", b"H16", b"F30:1", b"Ip", b"A0:0", b"C420jpeg", word} == set(head)


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gbrp", "gbrap16le", "gray"])
def test_nut_keeps_samples_and_times(tmp_path: Path, name: str) -> None:
    times = (0, 40, 90, 200, 233)
    frames = [
        frame.replace(pts=time, time_base=Fraction(1, 1000))
        for frame, time in zip(moving(5, 33, 17, name), times, strict=True)
    ]
    pipe = io.BytesIO()
    assert write_pipe(pipe, frames, container="nut") == 5
    path = tmp_path / "pipe.nut"
    path.write_bytes(pipe.getvalue())
    assert ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", name, "-") == raw(frames)
    listing = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "packet=pts_time",
                              "-of", "csv=p=0", path], capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert [round(float(row) * 1000) for row in listing.split()] == list(times)


def test_an_unknown_pipe() -> None:
    with pytest.raises(UsageError, match="A pipe carries y4m or nut, not 'avi'"):
        write_pipe(io.BytesIO(), [], container="avi")  # type: ignore[arg-type]


@pytest.mark.parametrize("container", ["y4m", "nut"])
def test_a_reader_that_leaves_ends_the_work(container: str) -> None:
    """As in `subpixel ... -o - | head`: no error, no message, and the frames' generator is not run to its end."""
    code = (
        "import sys, numpy as np\n"
        "from subpixel.frames import Frame\n"
        "from subpixel.video import write_pipe\n"
        "made = 0\n"
        "def frames():\n"
        "    global made\n"
        "    for made in range(100_000):\n"
        "        yield Frame((np.zeros((256, 256), np.uint8),), 'gray', pts=made)\n"
        f"count = write_pipe(sys.stdout.buffer, frames(), container='{container}')\n"
        "assert count <= made + 1 < 50_000\n"
    )
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.read(reader, 300_000)
    os.close(reader)
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, b"")
