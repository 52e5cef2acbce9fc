"""Archives and pictures as strangers might hand them in, made byte by byte."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from subpixel.challenge.manifest import Clip, Manifest
from subpixel.challenge.rules import Rules
from subpixel.challenge.truth import write_listing

Picture = npt.NDArray[np.uint8]
BLOCK = 512
END = bytes(2 * BLOCK)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
WIDTH, HEIGHT, FRAMES = 32, 16, 3
RULES = Rules.load()


def manifest(*names: str, frames: int = FRAMES, width: int = WIDTH, height: int = HEIGHT) -> Manifest:
    """Clips of one size."""
    clips = (
        Clip(name=name, frames=frames, width=width, height=height, file=f"test/{name}.mp4", sha256="0" * 64)
        for name in names or ("90",)
    )
    return Manifest(round="preliminary", clips=tuple(clips))


def sealed(block: bytes) -> bytes:
    """The header with its right checksum."""
    bare = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(bare) + block[156:]


def header(
    name: bytes,
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    link: bytes = b"",
    mode: bytes = b"0000644\0",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """One block; a size given as bytes is written as it is."""
    field = b"%011o\0" % size if isinstance(size, int) else size.ljust(12, b"\0")
    fields = name.ljust(100, b"\0"), mode, b"0000000\0" * 2, field, b"00000000000\0", b" " * 8, kind
    block = b"".join(fields) + link.ljust(100, b"\0") + magic
    return sealed(block.ljust(345, b"\0") + prefix.ljust(155, b"\0") + bytes(12))


def entry(name: bytes, content: bytes = b"", kind: bytes = b"0") -> bytes:
    """A header and what belongs to it."""
    return header(name, len(content), kind) + content + bytes(-len(content) % BLOCK)


def record(key: bytes, value: bytes) -> bytes:
    """A record of an extended header, which begins with its own length."""
    length = len(key) + len(value) + 3
    digits = len(str(length))
    while len(str(length + digits)) != digits:
        digits += 1
    return b"%d %s=%s\n" % (length + digits, key, value)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def ihdr(
    width: int = WIDTH, height: int = HEIGHT, depth: int = 8, colour: int = 2, interlace: int = 0, method: int = 0
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, method, 0, interlace))


def rows(picture: Picture) -> bytes:
    """The picture as PNG compresses it, not filtered."""
    return b"".join(b"\0" + row.tobytes() for row in picture)


def png(
    picture: Picture, *, before: bytes = b"", after: bytes = b"", head: bytes = b"", data: bytes | None = None
) -> bytes:
    """A PNG file, with chunks before and after the samples, or another header, or other compressed samples."""
    compressed = zlib.compress(rows(picture)) if data is None else data
    start = SIGNATURE + (head or ihdr(picture.shape[1], picture.shape[0]))
    return start + before + chunk(b"IDAT", compressed) + after + chunk(b"IEND")


def pictures(count: int = FRAMES, seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> list[Picture]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def frames(*clips: str, count: int = FRAMES) -> list[tuple[bytes, bytes]]:
    """Names and files of a right answer."""
    return [
        (f"{clip}/{number:04d}.png".encode(), png(picture))
        for seed, clip in enumerate(clips)
        for number, picture in enumerate(pictures(count, seed), 1)
    ]


def tar(files: list[tuple[bytes, bytes]]) -> bytes:
    """An archive of plain files."""
    return b"".join(entry(name, content) for name, content in files) + END


def truth(folder: Path, *clips: str, count: int = FRAMES) -> Path:
    """The pictures of `frames` as the truth."""
    folder.mkdir()
    hashes = {}
    for seed, clip in enumerate(clips):
        samples = b"".join(picture.tobytes() for picture in pictures(count, seed))
        (folder / f"{clip}.rgb").write_bytes(samples)
        hashes[clip] = hashlib.sha256(samples).hexdigest()
    write_listing(folder, hashes)
    return folder
