"""Every attack on the archive, one by one: each is refused with its code and a sentence, before any content is used."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import BLOCK, END, RULES, entry, frames, header, manifest, record, sealed, tar
from subpixel.challenge.archive import members
from subpixel.challenge.layout import Contents, check
from subpixel.challenge.problems import CODES, Problem
from subpixel.challenge.rules import Rules, read_text
from subpixel.errors import Refused

GOOD = frames("90")
CLIPS = manifest("90")
RULES_TEXT = read_text()


class Pipe(io.BytesIO):
    """A stream that cannot be sought in."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise AssertionError("sought in a pipe")


def problems(archive: bytes, rules: Rules = RULES) -> list[Problem]:
    """What is wrong, by file and by pipe alike."""
    found = check(io.BytesIO(archive), CLIPS, rules)
    assert check(Pipe(archive), CLIPS, rules) == found
    assert all(problem.code in CODES and problem.sentence.endswith((".", ")")) for problem in found.problems)
    assert bool(found.answers) != bool(found.problems)
    return list(found.problems)


def with_first(change: Callable[[bytes], bytes]) -> bytes:
    """A right archive whose first header is changed and given its right checksum again."""
    archive = tar(GOOD)
    return sealed(change(archive[:BLOCK])) + archive[BLOCK:]


def preceded(*entries: bytes) -> bytes:
    return b"".join(entries) + tar(GOOD)


EXTENDED = entry(b"PaxHeaders/0001.png", record(b"mtime", b"1.5") + record(b"SCHILY.xattr.user", b"x"), b"x")
SPARSE_PAX = entry(b"PaxHeaders/x", record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.realsize", b"9" * 12), b"x")

ATTACKS: dict[str, tuple[bytes, str, str]] = {
    "parent folder": (preceded(entry(b"90/../../etc/cron", b"x")), "traversal", "leads out of the archive"),
    "parent folder first": (preceded(entry(b"../90/0001.png", b"x")), "traversal", "leads out"),
    "parent folder as a folder": (preceded(entry(b"90/..", kind=b"5")), "traversal", "leads out"),
    "absolute": (preceded(entry(b"/90/0001.png", b"x")), "absolute", "absolute name"),
    "drive letter": (preceded(entry(b"C:90/0001.png", b"x")), "absolute", "absolute name"),
    "backslash": (preceded(entry(b"90\\0001.png", b"x")), "name", "backslash"),
    "control character": (preceded(entry(b"90/00\n01.png", b"x")), "name", "control character"),
    "escape sequence": (preceded(entry(b"90/\x1b[2J.png", b"x")), "name", "control character"),
    "text behind NUL": (preceded(entry(b"90/0001.png\0../x", b"x")), "name", "goes on behind its end"),
    "not UTF-8": (preceded(entry(b"90/\xff\xfe.png", b"x")), "name", "is no text"),
    "empty name": (preceded(entry(b"", b"x")), "name", "entry at byte 0 has no name."),
    "double slash": (preceded(entry(b"90//0001.png", b"x")), "name", "empty part"),
    "dot inside": (preceded(entry(b"90/./0001.png", b"x")), "name", "dot between its slashes"),
    "file named as a folder": (preceded(entry(b"90/", b"x")), "name", "name of a folder"),
    "right-to-left override": (preceded(entry("90/‮gnp.png".encode(), b"x")), "name", "control character"),
    "symbolic link": (preceded(header(b"90", kind=b"2", link=b"/etc")), "link", "symbolic link"),
    "hard link": (preceded(header(b"90/0001.png", kind=b"1", link=b"../truth/90.rgb")), "link", "hard link"),
    "link of a folder's name": (preceded(header(b"90/", kind=b"2", link=b"")), "link", "symbolic link"),
    "plain file with a target": (preceded(header(b"90/x", link=b"/etc/passwd")), "link", "yet names the target"),
    "folder with a target": (preceded(header(b"90", kind=b"5", link=b"/")), "link", "yet names the target"),
    "symbolic link, then a file in it": (
        preceded(header(b"90", kind=b"2", link=b"/tmp"), entry(b"90/0001.png", b"x")), "link", "symbolic link",
    ),
    "character device": (preceded(header(b"90/0001.png", kind=b"3")), "device", "character device"),
    "block device": (preceded(header(b"90/0001.png", kind=b"4")), "device", "block device"),
    "named pipe": (preceded(header(b"90/0001.png", kind=b"6")), "device", "named pipe"),
    "contiguous file": (preceded(header(b"90/0001.png", kind=b"7")), "type", "of type '7'"),
    "multi-volume": (preceded(header(b"90/0001.png", kind=b"M")), "type", "of type 'M'"),
    "volume label": (preceded(header(b"label", kind=b"V")), "type", "of type 'V'"),
    "unknown type": (preceded(header(b"90/0001.png", kind=b"\x80")), "type", "of type"),
    "old GNU sparse file": (preceded(header(b"90/0001.png", kind=b"S", magic=b"ustar  \0")), "sparse", "sparse file"),
    "pax sparse file": (preceded(SPARSE_PAX, entry(b"90/0001.png", b"x")), "pax", "sets 'GNU.sparse.major'"),
    "GNU long name": (preceded(entry(b"././@LongLink", b"a" * 200, b"L")), "long_name", "more than 100 characters"),
    "GNU long link": (preceded(entry(b"././@LongLink", b"a" * 200, b"K")), "long_name", "more than 100 characters"),
    "pax path": (preceded(entry(b"p", record(b"path", b"../../x"), b"x")), "pax", "sets 'path'"),
    "pax size": (preceded(entry(b"p", record(b"size", b"99999999999999"), b"x")), "pax", "sets 'size'"),
    "pax link path": (preceded(entry(b"p", record(b"linkpath", b"/etc"), b"x")), "pax", "sets 'linkpath'"),
    "pax global path": (preceded(entry(b"p", record(b"path", b"90"), b"g")), "pax", "sets 'path'"),
    "pax character set": (preceded(entry(b"p", record(b"hdrcharset", b"BINARY"), b"x")), "pax", "sets 'hdrcharset'"),
    "pax of 8 MB": (preceded(entry(b"p", bytes(8 << 20), b"x")), "pax", "8388608 bytes; 8192 are allowed"),
    "pax of zeros": (preceded(entry(b"p", b"0" * 8000, b"x")), "pax", "malformed"),
    "pax with a wrong length": (preceded(entry(b"p", b"99 mtime=1\n", b"x")), "pax", "malformed"),
    "pax with length nought": (preceded(entry(b"p", b"0 mtime=1\n", b"x")), "pax", "malformed"),
    "two pax headers": (preceded(EXTENDED, EXTENDED), "pax", "follow each other"),
    "pax of no file": (tar(GOOD)[: -2 * BLOCK] + EXTENDED + END, "pax", "belongs to no file"),
    "negative size": (with_first(lambda b: b[:124] + b"-0000000001\0" + b[136:]), "size", "no octal number"),
    "negative size in base 256": (with_first(lambda b: b[:124] + b"\xff" * 12 + b[136:]), "size", "base 256"),
    "size in base 256": (
        with_first(lambda b: b[:124] + b"\x80" + (1 << 62).to_bytes(11, "big") + b[136:]), "size", "base 256",
    ),
    "size that is no number": (with_first(lambda b: b[:124] + b"0x10" + bytes(8) + b[136:]), "size", "'0x10', which"),
    "no size": (with_first(lambda b: b[:124] + bytes(12) + b[136:]), "size", "no octal number"),
    "largest size": (with_first(lambda b: b[:124] + b"7" * 12 + b[136:]), "too_large", "bytes"),
    "folder with a size": (preceded(entry(b"90", b"x", b"5")), "size", "folder 90 has a size"),
    "setuid": (preceded(header(b"90/0001.png", mode=b"0004755\0")), "mode", "mode '0004755'; plain files have 644"),
    "mode that is no number": (preceded(header(b"90/0001.png", mode=b"\x80\0\0\0\0\0\1\0")), "mode", "plain files"),
    "wrong checksum": (tar(GOOD).replace(b"90/0001", b"90/0009", 1), "checksum", "wrong checksum"),
    "no header where one should be": (tar(GOOD)[: -2 * BLOCK] + b"x" * BLOCK + END, "checksum", "header is damaged"),
    "duplicate": (preceded(entry(*GOOD[0])), "duplicate", "two entries 90/0001.png"),
    "duplicate behind ./": (preceded(entry(b"./" + GOOD[0][0], b"x")), "duplicate", "two entries"),
    "other case": (preceded(entry(b"90/0001.PNG", b"x")), "look_alike", "only looks like 90/0001.png"),
    "full-width digits": (preceded(entry("９０/0001.png".encode(), b"x")), "look_alike", "only looks like"),
    "ligature": (preceded(entry("90/0001.pnɡ".encode(), b"x")), "name", "other characters than letters"),
    "nothing": (b"", "empty", "The file is empty"),
    "only the end": (END, "empty", "holds no files"),
    "only folders": (entry(b"90", kind=b"5") + END, "empty", "holds no files"),
    "cut in a header": (tar(GOOD)[:100], "not_tar", "no tar archive"),
    "cut in a later header": (tar(GOOD)[: -2 * BLOCK] + b"90" * 20, "truncated", "breaks off"),
    "cut in a file": (tar(GOOD)[: BLOCK + 50], "truncated", "breaks off"),
    "no end": (tar(GOOD)[: -2 * BLOCK], "truncated", "breaks off"),
    "half an end": (tar(GOOD)[:-BLOCK], "truncated", "breaks off"),
    "data behind the end": (tar(GOOD) + b"payload", "trailing_data", "Something follows"),
    "an entry within the end": (tar(GOOD)[:-BLOCK] + entry(b"x", b"y") + END, "trailing_data", "Something follows"),
    "two archives": (tar(GOOD) + tar(GOOD), "trailing_data", "Something follows"),
    "2 MB of zeros": (tar(GOOD) + bytes(2 << 20), "trailing_data", "Something follows"),
    "gzip": (gzip.compress(tar(GOOD)), "compressed", "is gzip, not tar"),
    "xz": (lzma.compress(tar(GOOD)), "compressed", "is xz, not tar"),
    "bzip2": (bz2.compress(tar(GOOD)), "compressed", "is bzip2, not tar"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed", "is zstd, not tar"),
    "a video": (b"\0\0\0\x20ftypisom" + bytes(600), "not_tar", "no tar archive"),
    "other file": (preceded(entry(b"readme.txt", b"hello")), "unexpected", "names are such as 90/0001.png"),
    "other clip": (preceded(entry(b"91/0001.png", b"x")), "unexpected", "no part of an answer"),
    "JPEG": (preceded(entry(b"90/0001.jpg", b"x")), "unexpected", "no part of an answer"),
    "frame nought": (preceded(entry(b"90/0000.png", b"x")), "frame_number", "0001.png to 0003.png"),
    "one frame more": (preceded(entry(b"90/0004.png", b"x")), "frame_number", "0001.png to 0003.png"),
    "other digits": (preceded(entry(b"90/00001.png", b"x")), "unexpected", "names are such as"),
    "one frame less": (tar(GOOD[:-1]), "missing_frames", "Of clip 90 1 of 3 frames is missing, the first is 0003.png"),
    "no clip": (tar([(b"./.DS_Store", b"x"), (b"._90", b"x")]), "empty", "holds no files"),
    "frames and a video": (preceded(entry(b"90.mp4", b"x")), "two_answers", "by frames and by a video"),
    "two videos": (tar([(b"90.mp4", b"x"), (b"90.mkv", b"x")]), "two_answers", "second video of clip 90"),
    "different folders": (tar([(b"a/" + GOOD[0][0], b"x"), *GOOD[1:]]), "mixed_folders", "put them in one"),
    "a frame larger than its samples": (preceded(entry(b"90/0001.png", bytes(1 << 18))), "too_large", "samples have"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str) -> None:
    archive, code, words = ATTACKS[name]
    found = problems(archive)
    assert code in [problem.code for problem in found]
    assert words in next(problem.sentence for problem in found if problem.code == code)


def test_a_million_entries_are_not_counted_to_the_end() -> None:
    many = entry(b"90/x", kind=b"5") * 1500
    (only,) = problems(many + tar(GOOD))
    assert (only.code, only.sentence[:35]) == ("too_many", "The archive has more than 1006 entr")


def test_an_archive_larger_than_the_rules_allow_is_refused() -> None:
    small = Rules.parse(RULES_TEXT.replace("archive_bytes = 68719476736", "archive_bytes = 4096"))
    (only,) = problems(tar(GOOD), small)
    assert only.code == "too_large"
    assert "more than 4096 bytes" in only.sentence


def test_a_form_that_the_round_does_not_take_is_refused() -> None:
    films = Rules.parse(RULES_TEXT.replace('["png", "video"]', '["video"]'))
    found = problems(tar(GOOD), films)
    assert {problem.code for problem in found} == {"form", "missing_clip"}
    assert "this round takes video" in found[0].sentence


def test_a_zip_is_refused() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("90/0001.png", b"x" * 600)
    (only,) = problems(target.getvalue())
    assert (only.code, only.sentence[:15]) == ("compressed", "The file is zip")


def test_at_most_twenty_problems_are_told() -> None:
    found = problems(tar([(f"90/x{number}".encode(), b"x") for number in range(50)]))
    assert len(found) == 20
    assert found[-1].sentence == "There are 32 more problems of this kind."


# ---- what is tolerated


def good(archive: bytes) -> Contents:
    assert problems(archive) == []
    return check(io.BytesIO(archive), CLIPS, RULES)


def by_tarfile(format_: int, prefix: str = "", **fields: float) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format_) as archive:
        for name, content in GOOD:
            info = tarfile.TarInfo(prefix + name.decode())
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_writes_is_read(format_: int) -> None:
    archive = by_tarfile(format_, mtime=1e9 if format_ == tarfile.USTAR_FORMAT else 1234567890.123)
    with tarfile.open(fileobj=io.BytesIO(archive)) as peer:
        expected = [(one.name, one.offset_data, one.size) for one in peer]
    found = [(one.name, one.offset, one.size) for one in members(io.BytesIO(archive), most=99, largest=1 << 30)]
    assert found == expected


def test_order_folders_and_a_common_folder_do_not_matter() -> None:
    plain = good(tar(GOOD))
    assert [member.name for member in plain.answers[0].members] == [name.decode() for name, _ in GOOD]
    moved = good(entry(b"mine/", kind=b"5") + tar([(b"mine/" + name, data) for name, data in reversed(GOOD)]))
    assert [member.size for member in moved.answers[0].members] == [len(data) for _, data in GOOD]
    assert moved.notes == ("All clips lie in the folder mine/.",)
    dotted = good(entry(b"./", kind=b"5") + tar([(b"./" + name, data) for name, data in GOOD]))
    assert dotted.notes == ()


def test_of_several_folders_none_is_said_to_hold_all_clips() -> None:
    moved = [(b"a/" + name if at else b"b/" + name, content) for at, (name, content) in enumerate(GOOD)]
    found = check(io.BytesIO(tar(moved)), CLIPS, RULES)
    assert [problem.code for problem in found.problems] == ["mixed_folders"]
    assert found.notes == ()


def test_debris_of_macos_is_left_aside() -> None:
    found = good(preceded(entry(b"90/._0001.png", b"x"), entry(b"__MACOSX/90/x", b"x"), entry(b"90/.DS_Store", b"x")))
    assert found.notes == ("3 files of macOS were left aside.",)
    assert good(preceded(entry(b".DS_Store", b"x"))).notes == ("1 file of macOS was left aside.",)


# ---- properties


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_change_of_bytes_is_accepted_or_refused_with_a_code(data: st.DataObject) -> None:
    archive = bytearray(preceded(EXTENDED, entry(b"90/", kind=b"5")))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(archive) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "delete"])):
            case "set":
                archive[at] = data.draw(st.integers(0, 255))
            case "cut":
                del archive[max(1, at) :]
            case "insert":
                archive[at:at] = data.draw(st.binary(min_size=1, max_size=1024))
            case "delete":
                del archive[at : at + 512]
        archive = archive or bytearray(b"x")
    problems(bytes(archive))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096), st.booleans())
def test_any_bytes_are_refused(junk: bytes, seal: bool) -> None:
    with pytest.raises(Refused):
        list(
            members(io.BytesIO(sealed(junk[:BLOCK].ljust(BLOCK, b"\0")) if seal else junk + b"x"), most=9, largest=9999)
        )
