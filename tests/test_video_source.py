"""Inputs made to mislead: each gets one clear sentence, and nothing but the file is ever opened."""

from __future__ import annotations

import re
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import MakeClip, ffmpeg
from subpixel.errors import InputError, UsageError
from subpixel.video import probe, read

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def y4m(width: int, height: int, frames: bytes = b"") -> bytes:
    return f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode() + frames


PLAYLIST = "is a playlist that names other files"
UNKNOWN = "it is no video of a known kind, or its header is damaged or claims pictures beyond any size"
HOSTILE = {
    "hls": (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n", PLAYLIST),
    "hls after a mark": (b"\xef\xbb\xbf\n#EXTM3U\n#EXTINF:1,\nsecret.ts\n", PLAYLIST),
    "ffconcat": (b"ffconcat version 1.0\nfile /etc/hostname\n", PLAYLIST),
    "concat": (b"file '/etc/hostname'\n", PLAYLIST),
    "dash": (b'<?xml version="1.0"?><MPD></MPD>', PLAYLIST),
    "sdp": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n", PLAYLIST),
    "address": (b"http://127.0.0.1:9/film.mp4\n", PLAYLIST),
    "text": (b"dear reader\n" * 50, UNKNOWN),
    "garbage": (zlib.compress(bytes(range(256)) * 9, 9) * 20, UNKNOWN),
    "nothing": (b"", "is empty"),
    "huge y4m": (y4m(100_000, 100_000, b"FRAME\n" + bytes(999)), UNKNOWN),
    "large y4m": (y4m(12_000, 12_000, b"FRAME\n" + bytes(999)), "claims pictures of 12000x12000"),
    "huge png": (png_claiming(100_000, 100_000), "its first pictures cannot be decoded: .* larger than"),
    "no frames": (y4m(16, 16), "holds no frames"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_each_kind_gets_its_sentence(tmp_path: Path, kind: str) -> None:
    data, sentence = HOSTILE[kind]
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"film\.mp4' .*{sentence}"):
        probe(path)
    with pytest.raises(InputError, match=r"film\.mp4' .*\.$"):
        list(read(path))


def test_no_playlist_reaches_the_network(tmp_path: Path) -> None:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/x.ts"
    (tmp_path / "a.mp4").write_text(f"\n\n {'#' * 3}\n#EXTM3U\n#EXTINF:1,\n{address}\n")  # the mark is not at the front
    (tmp_path / "a.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{address}\n")
    try:
        for source in (tmp_path / "a.mp4", tmp_path / "a.m3u8", address):
            with pytest.raises(InputError):
                list(read(source))
    finally:
        server.shutdown()
        server.server_close()
    assert seen == []


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("http://example.org/film.mp4", "is an address; download the file first"),
        ("missing.mp4", "there is no such file"),
        ("concat:a.ts|b.ts", "there is no such file"),
    ],
)
def test_what_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(sentence)):
        probe(source)
    with pytest.raises(InputError, match=re.escape(sentence)):
        next(read(source))


def test_folders_without_images_and_standard_input_to_probe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        next(read(tmp_path))
    with pytest.raises(InputError, match="holds no images"):
        probe(tmp_path)
    with pytest.raises(InputError, match="Standard input can be read once only"):
        probe("-")


def test_sound_alone_and_cover_pictures_are_no_video(tmp_path: Path) -> None:
    sound, cover = tmp_path / "sound.mp4", tmp_path / "cover.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", sound)
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32", "-frames:v", 1, tmp_path / "c.jpg")
    ffmpeg("-i", sound, "-i", tmp_path / "c.jpg", "-map", 0, "-map", 1, "-c", "copy", "-disposition:v", "attached_pic",
           cover)  # fmt: skip
    for path in (sound, cover):
        with pytest.raises(InputError, match="holds no video"):
            probe(path)


# Damage

CONTAINERS = ["d.mp4", "d.mkv", "d.avi", "front.mp4"]


@pytest.fixture(scope="module")
def whole(make_clip: MakeClip) -> dict[str, Path]:
    clip = make_clip("d.mp4", "-g", 12, frames=50)
    paths = {"d.mp4": clip}
    for name in ("d.mkv", "d.avi", "d.nut", "d.ts"):
        paths[name] = clip.with_name(name)
        ffmpeg("-i", clip, "-c", "copy", paths[name])
    paths["front.mp4"] = clip.with_name("front.mp4")
    ffmpeg("-i", clip, "-c", "copy", "-movflags", "+faststart", paths["front.mp4"])
    return paths


def read_until_error(path: Path) -> tuple[list[bytes], str]:
    """The luma of the frames that were given, and the message that ended them, "" where none did."""
    lumas: list[bytes] = []
    try:
        lumas.extend(frame.planes[0].tobytes() for frame in read(path))
    except InputError as error:
        return lumas, str(error)
    return lumas, ""


@pytest.mark.parametrize("name", ["d.mkv", "d.avi", "front.mp4"])
def test_a_cut_off_file_gives_its_frames_and_then_says_so(whole: dict[str, Path], tmp_path: Path, name: str) -> None:
    data = whole[name].read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 6 // 10])
    lumas, message = read_until_error(tmp_path / name)
    missing = len(data) - len(data) * 6 // 10
    assert re.search(r"is cut off after \d\.\d+ s: \d+ bytes that its header promises are missing\.$", message)
    assert abs(int(message.split("s: ")[1].split()[0]) - missing) < 200 + (name == "d.avi") * 3000  # AVI's index
    full, no_message = read_until_error(whole[name])
    assert no_message == ""
    assert 20 <= len(lumas) < 40
    assert lumas[:-3] == full[: len(lumas) - 3]  # the last ones may lean on the picture that was cut
    assert list(read(tmp_path / name, end=0.4))  # what lies before the cut is read without a word


def test_an_index_that_was_cut_off(whole: dict[str, Path], tmp_path: Path) -> None:
    data = whole["d.mp4"].read_bytes()
    (tmp_path / "d.mp4").write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(InputError, match=r"is cut off: \d+ bytes that it promises are missing, its index among"):
        probe(tmp_path / "d.mp4")


def test_damage_within_ends_with_the_frames_before_it(whole: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(whole["d.mkv"].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    (tmp_path / "d.mkv").write_bytes(data)
    lumas, message = read_until_error(tmp_path / "d.mkv")
    full, _ = read_until_error(whole["d.mkv"])
    assert lumas[:10] == full[:10]
    assert message == "" or "is damaged after" in message


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["d.mp4", "d.mkv", "d.avi", "d.ts", "d.nut"]), st.integers(0, 2**32), st.integers(1, 40))
@example("d.ts", 44, 19)  # a stream appears on the way
def test_random_damage_never_gives_another_error(
    whole: dict[str, Path], tmp_path: Path, name: str, seed: int, count: int
) -> None:
    data = bytearray(whole[name].read_bytes())
    for step in range(count):
        seed = (seed * 1103515245 + 12345 + step) % 2**31
        data[seed % len(data)] = seed >> 16 & 255
    (tmp_path / name).write_bytes(data)
    lumas, message = read_until_error(tmp_path / name)
    assert len(lumas) <= 60 or message == ""


def test_a_size_change_in_mid_stream_is_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    first = make_clip("s.ts", size="160x96", frames=5)
    second = make_clip("s.ts", size="128x80", frames=5)
    (tmp_path / "s.ts").write_bytes(first.read_bytes() + second.read_bytes())
    frames = read(tmp_path / "s.ts")
    with pytest.raises(InputError, match=r"changes from 160x96 yuv420p to 128x80 yuv420p after 5 frames"):
        [next(frames) for _ in range(6)]


def test_images_of_different_sizes_are_refused(tmp_path: Path) -> None:
    for index, size in enumerate(["32x20", "32x22"]):
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}", "-frames:v", 1, tmp_path / f"{index}.png")
    with pytest.raises(InputError, match="changes from 32x20 gbrp to 32x22 gbrp after 1 frames"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start": -1}, "start is a number of seconds from the beginning, not -1"),
        ({"end": float("nan")}, "end is a number of seconds from the beginning, not nan"),
        ({"deinterlace": "yes"}, "deinterlace is 'auto' or 'off', not 'yes'"),
        ({"input_matrix": "709"}, "input_matrix is one of auto, bt601, bt709, bt2020, not '709'"),
        ({"input_range": "tv"}, "input_range is one of auto, limited, full, not 'tv'"),
    ],
)
def test_bad_options(sample_clip: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        next(read(sample_clip, **options))  # type: ignore[arg-type]
