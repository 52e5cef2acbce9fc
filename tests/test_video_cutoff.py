"""video.cutoff on headers made by hand; real files are cut in test_video_source."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from subpixel.video.cutoff import missing_bytes


def box(kind: bytes, data: bytes, claimed: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(data) if claimed is None else claimed) + kind + data


FTYP = box(b"ftyp", b"isom")
EBML = b"\x1a\x45\xdf\xa3\x83abc"
SEGMENT = b"\x18\x53\x80\x67"

FILES = {
    "whole boxes": (FTYP + box(b"mdat", bytes(50)), 0),
    "cut box": (FTYP + box(b"mdat", bytes(50))[:-20], 20),
    "cut box with a long length": (FTYP + struct.pack(">I4sQ", 1, b"mdat", 1 << 33) + bytes(10), (1 << 33) - 26),
    "box to the end": (FTYP + box(b"mdat", bytes(50), claimed=0), 0),
    "something behind the film": (FTYP + box(b"mdat", bytes(50)) + b"Shot on a camera", 0),
    "a length of nothing": (FTYP + box(b"free", b"", claimed=3) + box(b"mdat", bytes(50))[:-20], 20),
    "whole segment": (EBML + SEGMENT + b"\x8a" + bytes(10), 0),
    "cut segment": (EBML + SEGMENT + b"\x8a" + bytes(4), 6),
    "cut segment with a long length": (EBML + SEGMENT + b"\x01" + (1000).to_bytes(7, "big") + bytes(4), 996),
    "segment written live": (EBML + SEGMENT + b"\x01" + b"\xff" * 7 + bytes(4), 0),
    "no segment": (EBML + bytes(30), 0),
    "nothing but a mark": (EBML[:4], 0),
    "whole list": (struct.pack("<4sI4s", b"RIFF", 34, b"AVI ") + bytes(30), 0),
    "cut list": (struct.pack("<4sI4s", b"RIFF", 34, b"AVI ") + bytes(21), 8),
    "whole frames": (b"YUV4MPEG2 W5 H3\n" + 2 * (b"FRAME\n" + bytes(15 + 12)), 0),
    "cut frame": (b"YUV4MPEG2 W5 H3 C420jpeg\n" + b"FRAME Ip\n" + bytes(27) + b"FRAME\n" + bytes(20), 7),
    "cut frame of ten bits": (b"YUV4MPEG2 W4 H2 C422p10\n" + b"FRAME\n" + bytes(20), 12),
    "cut frame with opacity": (b"YUV4MPEG2 C444alpha W4 H2\n" + b"FRAME\n" + bytes(31), 1),
    "cut frame of grey": (b"YUV4MPEG2 W4 H2 Cmono16 F25:1\n" + b"FRAME\n" + bytes(10), 6),
    "frames of another length": (b"YUV4MPEG2 W5 H3\n" + 2 * (b"FRAME\n" + bytes(26)), 0),
    "frames of no size": (b"YUV4MPEG2 F25:1\nFRAME\n" + bytes(26), 0),
    "another kind": (b"GIF89a, or so it says", 0),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize("kind", FILES)
def test_bytes_promised_and_missing(tmp_path: Path, kind: str) -> None:
    data, missing = FILES[kind]
    (tmp_path / "film").write_bytes(data)
    assert missing_bytes(tmp_path / "film") == missing
