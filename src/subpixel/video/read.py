"""Any video, image, folder of images or pipe becomes Frames: planes as coded, every time stamp, what the codec said."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.container.core
import av.error
import av.video

from subpixel.errors import InputError, UsageError
from subpixel.frames import FULL, LIMITED, Frame
from subpixel.video.convert import from_av
from subpixel.video.cutoff import missing_bytes
from subpixel.video.decode import decode, decode_from, set_decoder, timed
from subpixel.video.filters import FieldOrder, bwdif
from subpixel.video.interlace import field_order
from subpixel.video.source import explained, images, open_source, shown, video_stream

MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
RANGES = {"limited": LIMITED, "full": FULL}


def read(
    source: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    deinterlace: str = "auto",
    codec_info: bool = True,
    input_matrix: str = "auto",
    input_range: str = "auto",
    rate: Fraction = Fraction(25),
    threads: int = 0,
) -> Iterator[Frame]:
    """Frames of a video in order of presentation; the file is closed when the iterator is.

    source: a video or image file, a folder of images (taken in natural order, `rate` per second), or "-"
        for Y4M or NUT on standard input.
    start, end: seconds from the beginning of the file; the frames with start <= time < end are given.
    deinterlace: "auto" does what `field_order` says, "off" leaves fields woven.
    codec_info: fill in qp and motion where H.264 gives them.
    input_matrix, input_range: "bt601", "bt709" or "bt2020", "limited" or "full" replace wrong or missing tags.
    threads: of the decoder, 0 for as many as there are processors.

    Every frame has a pts, and they increase: where the file gives none, the decoding time or the previous frame's
    duration stands in. All frames have one size and format. Of a damaged or cut-off file the frames up to the
    damage are given, then InputError is raised; so it is for whatever cannot be read. UsageError for bad options.
    """
    tags = _tags(input_matrix, input_range)
    if deinterlace not in ("auto", "off"):
        raise UsageError(f"deinterlace is 'auto' or 'off', not {deinterlace!r}.")
    since, until = _seconds("start", start), _seconds("end", end)
    if Path(source).is_dir():
        frames = _folder(Path(source), rate, since, until)
    else:
        order: FieldOrder = "progressive"
        if deinterlace == "auto":
            order = "flagged" if str(source) == "-" else field_order(source)
        frames = _file(source, since, until, order, codec_info, threads)
    for frame in _uniform(frames, source):
        yield frame.replace(color=dataclasses.replace(frame.color, **tags)) if tags else frame


def _file(
    source: str | Path,
    since: Fraction | None,
    until: Fraction | None,
    order: FieldOrder,
    codec_info: bool,
    threads: int,
) -> Iterator[Frame]:
    pipe = str(source) == "-"
    with explained(source), open_source(source) as container:
        stream = video_stream(container, source)
        set_decoder(stream, codec_info, threads)
        origin = Fraction(container.start_time or 0, av.time_base)
        unit = stream.time_base or Fraction(1, 25)
        sar = stream.sample_aspect_ratio or Fraction(0)
        pictures = timed(decode(container, stream), stream)
        if since is not None and not pipe:
            pictures = decode_from(container, stream, origin + since)
        time: Fraction | None = None
        try:
            for picture in bwdif(pictures, order):
                time = (picture.pts or 0) * unit - origin
                if until is not None and time >= until:
                    return
                if since is None or time >= since:
                    yield from_av(picture, sar=sar, codec_info=codec_info)
        except av.error.FFmpegError as error:
            raise _damaged(source, time) from error
        if time is None and since is None:
            raise _damaged(source, time)
        if not pipe and missing_bytes(source):
            raise _damaged(source, time)


def _folder(folder: Path, rate: Fraction, since: Fraction | None, until: Fraction | None) -> Iterator[Frame]:
    for index, path in enumerate(images(folder)):
        if (since is None or index / rate >= since) and (until is None or index / rate < until):
            frame = next(_file(path, None, None, "progressive", False, 1))
            yield frame.replace(pts=index, time_base=1 / rate, duration=1)


def _uniform(frames: Iterator[Frame], source: str | Path) -> Iterator[Frame]:
    """The frames, as long as they keep the first one's size and format."""
    first: Frame | None = None
    for count, frame in enumerate(frames):
        first = first or frame
        if (frame.width, frame.height, frame.format) != (first.width, first.height, first.format):
            raise InputError(
                f"{shown(source)} changes from {first.width}x{first.height} {first.format} to {frame.width}x"
                f"{frame.height} {frame.format} after {count} frames; restore the two parts separately."
            )
        yield frame


def _damaged(source: str | Path, time: Fraction | None) -> InputError:
    """The error that ends a file which cannot be decoded further."""
    if time is None:
        return InputError(f"{shown(source)} holds no frames that can be decoded.")
    where = f"{float(time):.3f} s" if time else "its first frame"
    if str(source) != "-" and (missing := missing_bytes(source)):
        return InputError(
            f"{shown(source)} is cut off after {where}: {missing} bytes that its header promises are missing."
        )
    return InputError(f"{shown(source)} is damaged after {where}; what follows cannot be decoded.")


def _seconds(name: str, value: float | None) -> Fraction | None:
    if value is None:
        return None
    if not 0 <= value < float("inf"):
        raise UsageError(f"{name} is a number of seconds from the beginning, not {value}.")
    return Fraction(value).limit_denominator(1_000_000)


def _tags(matrix: str, range_: str) -> dict[str, int]:
    tags = {}
    for name, value, known in (("matrix", matrix, MATRICES), ("range", range_, RANGES)):
        if value != "auto":
            if value not in known:
                raise UsageError(f"input_{name} is one of auto, {', '.join(known)}, not {value!r}.")
            tags[name] = known[value]
    return tags
