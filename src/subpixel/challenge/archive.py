"""A tar archive from a stranger, read as a stream: every header is checked before anything in it is used.

Plain ustar, pax (POSIX.1-2001) and GNU archives are taken as long as names and sizes stand in the header itself.
Nothing is ever extracted: what is found is a name, a place and a size.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import BinaryIO

from subpixel.challenge.problems import shown
from subpixel.errors import Refused

BLOCK = 512
_PAX_LIMIT = 8192
_PADDING_LIMIT = 1 << 20  # the largest record that tar programs fill up with zeros
_PIECE = 1 << 20
_MAGIC = (b"ustar\x0000", b"ustar  \x00")
_ZERO = bytes(BLOCK)
_CUT = "The archive breaks off before its end; hand it in again, complete."
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x1f\x9d": "compress",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x5d\x00\x00": "lzma",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK": "zip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}
_FOREIGN = {
    b"1": ("link", "a hard link"),
    b"2": ("link", "a symbolic link"),
    b"3": ("device", "a character device"),
    b"4": ("device", "a block device"),
    b"6": ("device", "a named pipe"),
    b"S": ("sparse", "a sparse file"),
    b"L": ("long_name", "a file with a name of more than 100 characters"),
    b"K": ("long_name", "a link with a name of more than 100 characters"),
}
_OVERRIDES = ("path", "linkpath", "size", "hdrcharset", "charset", "GNU.sparse", "SCHILY.realsize", "SCHILY.filetype")


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A file or a folder: its name as parts without leading ".", where its bytes begin in the archive, how many."""

    parts: tuple[str, ...]
    offset: int
    size: int
    folder: bool

    @property
    def name(self) -> str:
        """The parts with slashes between them."""
        return "/".join(self.parts)


def members(stream: BinaryIO, *, most: int, largest: int) -> Iterator[Member]:
    """The files and folders of a tar archive in their order, up to its end, which must be where it should.

    stream: needs `read`; where it can be sought in, contents are skipped and not read. most: entries; largest: bytes
    of the archive. Raises Refused, with a code of `problems.CODES`, at the first thing that is not as it must be.
    """
    source = _Source(stream, largest)
    count = 0
    extended = False  # the entry before was an extended header, which belongs to this one
    while (block := source.block()) != _ZERO:
        kind = _checked(block, first=source.position == BLOCK)
        count += 1
        if count > most:
            raise Refused("too_many", f"The archive has more than {most} entries; leave out what is no part of it.")
        size = _size(block)
        if kind in (b"x", b"g"):
            _check_extended(source, size, twice=extended)
            extended = True
            continue
        member = _member(block, kind, source.position, size)
        extended = False
        yield member
        source.skip(-(-size // BLOCK) * BLOCK)
    if extended:
        raise Refused("pax", "The archive ends with an extended header that belongs to no file.")
    source.finish()


class _Source:
    """A stream with a position, in blocks."""

    def __init__(self, stream: BinaryIO, largest: int) -> None:
        self._stream, self._largest = stream, largest
        self._seeks = stream.seekable()
        self._start = stream.tell() if self._seeks else 0
        self.position = 0

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, fewer at the end only; raises Refused beyond the largest archive."""
        parts, missing = [], size
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        self._forward(size - missing)
        return b"".join(parts)

    def block(self) -> bytes:
        """The next block; raises Refused where there is none."""
        at, block = self.position, self.read(BLOCK)
        if len(block) == BLOCK:
            return block
        if at == 0 and not block:
            raise Refused("empty", "The file is empty; hand in a tar archive.")
        _refuse_compressed(block if at == 0 else b"")
        if at == 0:
            raise Refused("not_tar", "The file is no tar archive; make one by `subpixel challenge pack` or tar.")
        raise Refused("truncated", _CUT)

    def skip(self, size: int) -> None:
        """Pass over so many bytes. Where the stream can be sought in, only the next block tells if they are there."""
        self._check(self.position + size)
        if self._seeks:
            self._forward(size)
            self._stream.seek(self._start + self.position)
            return
        while size:
            part = self.read(min(size, _PIECE))
            if not part:
                raise Refused("truncated", _CUT)
            size -= len(part)

    def finish(self) -> None:
        """Raises Refused unless a second block of zeros, and then at most zeros, follow the first."""
        if self.block() != _ZERO:
            raise Refused("trailing_data", f"Something follows the archive's end at byte {self.position - BLOCK}.")
        rest = self.read(_PADDING_LIMIT + 1)
        if len(rest) > _PADDING_LIMIT or rest.strip(b"\0"):
            raise Refused("trailing_data", f"Something follows the archive's end at byte {self.position - len(rest)}.")

    def _forward(self, size: int) -> None:
        self.position += size
        self._check(self.position)

    def _check(self, position: int) -> None:
        if position > self._largest:
            raise Refused("too_large", f"The archive has, or claims, more than {self._largest} bytes.")


def _checked(block: bytes, *, first: bool) -> bytes:
    """The type of an entry whose header has the right magic and checksum."""
    if block[257:265] not in _MAGIC:
        if first:
            _refuse_compressed(block)
            raise Refused("not_tar", "The file is no tar archive; make one by `subpixel challenge pack` or tar.")
        raise Refused("checksum", f"A header is damaged: {shown(block[:16])!r} is where an entry should begin.")
    stored = _octal(block[148:156])
    if stored != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise Refused("checksum", f"The header of {_raw_name(block)} has a wrong checksum.", _raw_name(block))
    return block[156:157]


def _refuse_compressed(head: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise Refused("compressed", f"The file is {name}, not tar; hand in the bare tar, which is not compressed.")


def _octal(field: bytes) -> int | None:
    """Digits with spaces before and zeros or spaces after them; None for anything else."""
    found = re.fullmatch(rb" *([0-7]+)[ \0]*", field)
    return int(found[1], 8) if found else None


def _raw_name(block: bytes) -> str:
    return shown(block[:100].split(b"\0", 1)[0])


def _told(field: bytes) -> str:
    """A field of digits for a sentence, without what fills it up."""
    return shown(field.rstrip(b"\0"))


def _size(block: bytes) -> int:
    field, name = block[124:136], _raw_name(block)
    size = _octal(field)
    if size is not None:
        return size
    if field[0] & 0x80:
        raise Refused("size", f"{name} has its size in base 256, which means 8 GiB or more, or less than none.", name)
    raise Refused("size", f"{name} has the size '{_told(field)}', which is no octal number.", name)


def _check_extended(source: _Source, size: int, *, twice: bool) -> None:
    """Read a pax header: times, owners and the like are ignored; what would replace a name or a size is refused."""
    if twice:
        raise Refused("pax", "Two extended headers follow each other; one file has one.")
    if size > _PAX_LIMIT:
        raise Refused("pax", f"An extended header has {size} bytes; {_PAX_LIMIT} are allowed.")
    body = source.read(-(-size // BLOCK) * BLOCK)
    if len(body) < size:
        raise Refused("truncated", _CUT)
    rest = body[:size]
    while rest:
        found = re.match(rb"([1-9]\d{0,4}) ([^=\n\0]+)=", rest)
        length = int(found[1]) if found else 0
        if found is None or not found.end() < length <= len(rest) or rest[length - 1 : length] != b"\n":
            raise Refused("pax", "An extended header is malformed.")
        key = shown(found[2])
        if key.startswith(_OVERRIDES):
            raise Refused("pax", f"An extended header sets {key!r}; names and sizes must stand in the header itself.")
        rest = rest[length:]


def _member(block: bytes, kind: bytes, offset: int, size: int) -> Member:
    """The entry of a header; raises Refused for any but a plain file or folder of a plain name."""
    raw = _name(block)
    if not raw:
        raise Refused("name", f"The entry at byte {offset - BLOCK} has no name.")
    name = shown(raw)
    if kind in _FOREIGN:
        code, what = _FOREIGN[kind]
        raise Refused(code, f"{name} is {what}; an answer consists of plain files with short names.", name)
    if kind not in (b"0", b"\0", b"5"):
        raise Refused("type", f"{name} is of type {shown(kind)!r}; an answer consists of plain files.", name)
    if block[157]:
        raise Refused("link", f"{name} is no link, yet names the target of one.", name)
    mode = _octal(block[100:108])
    folder = kind == b"5"
    if mode is None or (mode & 0o7000 and not folder):
        raise Refused("mode", f"{name} has the mode '{_told(block[100:108])}'; plain files have 644.", name)
    if folder and size:
        raise Refused("size", f"The folder {name} has a size, {size}; folders have none.", name)
    if not folder and raw.endswith(b"/"):
        raise Refused("name", f"{name} is a file with the name of a folder.", name)
    return Member(_parts(raw.removesuffix(b"/") if folder else raw, name), offset, size, folder)


def _name(block: bytes) -> bytes:
    """The name of an entry, with ustar's prefix."""
    fields = [block[:100]]
    if block[257:265] == _MAGIC[0] and block[345]:
        fields = [block[345:500], block[:100]]
    names = [field.split(b"\0", 1) for field in fields]
    joined = b"/".join(name for name, *_ in names)
    if any(rest[0].strip(b"\0") for _, *rest in names if rest):
        raise Refused("name", f"The name {shown(joined)!r} goes on behind its end.", shown(joined))
    return joined


def _parts(raw: bytes, name: str) -> tuple[str, ...]:
    """A name as parts, without leading "."; raises Refused for what could lead anywhere else."""
    if raw.startswith(b"/") or re.match(rb"[A-Za-z]:", raw):
        raise Refused("absolute", f"{name} is an absolute name; names begin with the clip or one folder.", name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("name", f"{name} is no text; names consist of letters, digits, - and _.", name) from None
    if "\\" in text or not text.isprintable():
        raise Refused("name", f"{name} has a backslash or a control character in it.", name)
    parts = text.split("/")
    while len(parts) > 1 and parts[0] == ".":
        parts.pop(0)
    if ".." in parts:
        raise Refused("traversal", f"{name} leads out of the archive.", name)
    if parts != ["."] and any(part in ("", ".") for part in parts):
        raise Refused("name", f"{name} has an empty part or a dot between its slashes.", name)
    return tuple(parts)
