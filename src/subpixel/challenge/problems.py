"""What can be wrong with an answer: a code, the file concerned, a sentence."""

from __future__ import annotations

import dataclasses

from subpixel.errors import Refused

# What each code stands for, in the order in which things are looked at.
CODES = {
    # the archive
    "compressed": "the file is compressed, or another kind of archive",
    "not_tar": "the file is no tar archive",
    "checksum": "a tar header is damaged",
    "truncated": "the archive ends before it should",
    "trailing_data": "something follows the end of the archive",
    "size": "a size is negative, not octal, or absurd",
    "mode": "a file has special permission bits",
    "link": "a link, or a file with the name of a link's target",
    "device": "a device, a pipe or another special file",
    "sparse": "a sparse file, whose size is not what is stored",
    "type": "an entry that is neither a file nor a folder",
    "pax": "extended headers that change a name or a size, or are too large or malformed",
    "long_name": "a name of more than 100 characters",
    "absolute": "an absolute name",
    "traversal": "a name that leads out of the archive",
    "name": "a name with characters that do not belong there",
    "too_many": "more entries than any answer has",
    "too_large": "more bytes than any answer has",
    # what is in it
    "empty": "no files at all",
    "duplicate": "two entries of one name",
    "look_alike": "a name that only looks like one that is expected",
    "frame_number": "a frame that the clip does not have",
    "unexpected": "a file that is no part of an answer",
    "mixed_folders": "clips that lie in different folders",
    "two_answers": "frames and a video of the same clip",
    "form": "a form of answer that this round does not accept",
    "missing_clip": "a clip without an answer",
    "missing_frames": "frames that are not there",
    # pictures
    "png": "no PNG file, or one that is malformed",
    "png_damaged": "a PNG file whose checksums or samples are wrong",
    "png_colour": "a PNG file that is not 8-bit RGB",
    "png_interlaced": "an interlaced PNG file",
    "png_animated": "an animated PNG file",
    "png_chunk": "a PNG file with a part that has no place in an answer",
    "picture_size": "a picture of another size",
    # videos
    "container": "a file that is neither MP4 nor Matroska",
    "codec": "a codec that is not accepted",
    "streams": "other streams than one of video",
    "damaged": "a video that cannot be decoded to its end",
    "frame_count": "a video with more or fewer frames than the clip",
    "changes": "a video that changes its size, format or colours on the way",
    "rotation": "a video that asks to be turned",
    "colour": "a video whose samples cannot be turned into 8-bit RGB",
    # the decoder
    "too_slow": "the decoder used up its time",
    "memory": "the decoder used up its memory",
    "decoder_crashed": "the decoder crashed",
    "decoder_misbehaved": "the decoder gave something else than pictures",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why an answer is not valid: a code of CODES, the file in the archive ("" for all of it), a sentence."""

    code: str
    member: str
    sentence: str

    def __str__(self) -> str:
        where = f"{self.member}: " if self.member else ""
        return f"{self.code}: {where}{self.sentence}"


def problem(error: Refused) -> Problem:
    """The problem that an exception tells of."""
    return Problem(error.code, error.member, error.sentence)


def shown(name: bytes | str) -> str:
    """A stranger's name as it may stand in a sentence: printable ASCII, at most 100 characters."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    plain = text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= 100 else plain[:97] + "..."
