"""Pictures out of a container: every one with a time, from any second on, up to the first damage."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
import av.container
import av.container.core
import av.error
import av.video

from subpixel.video.source import MAX_PIXELS


def set_decoder(stream: av.video.VideoStream, codec_info: bool, threads: int) -> None:
    """With several pictures in flight libav exports QP and motion of some before they are complete, hence "SLICE"."""
    decoder = stream.codec_context
    decoder.thread_count = threads
    decoder.thread_type = "SLICE" if codec_info else "AUTO"
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    if codec_info:
        decoder.options |= {"flags2": "+export_mvs", "export_side_data": "venc_params"}


def decode(container: av.container.InputContainer, stream: av.video.VideoStream) -> Iterator[av.VideoFrame]:
    """Pictures up to the end or the first damage, which is raised; what precedes the first picture is forgiven,
    since recordings start in the middle of a group of pictures."""
    # libav's own guesses of missing time stamps are wrong where pictures are reordered.
    container.flags &= ~cast(int, av.container.core.Flags.gen_pts.value)
    packets = container.demux(stream)
    started = False
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            pictures = packet.decode()
        except av.error.InvalidDataError:
            if not started:
                continue
            yield from stream.codec_context.decode(None)
            raise
        except IndexError:  # at the end PyAV trips over streams that have appeared on the way, behind ours
            return
        started = started or bool(pictures)
        yield from pictures


def timed(pictures: Iterator[av.VideoFrame], stream: av.video.VideoStream) -> Iterator[av.VideoFrame]:
    """Gives every picture a time later than the one before."""
    rate, unit = stream.average_rate or stream.guessed_rate or Fraction(25), stream.time_base or Fraction(1, 25)
    step = max(1, round(1 / (rate * unit)))
    last: int | None = None
    for picture in pictures:
        pts = picture.dts if picture.pts is None else picture.pts
        if last is None:
            pts = (stream.start_time or 0) if pts is None else pts
            step = picture.duration or step
        elif pts is None or pts < last - 4 * step:  # none, or the clock starts anew: go on evenly
            pts = last + step
        elif pts <= last:  # a stumble: the next stamp counts again
            pts = last + 1
        else:
            step = pts - last
        picture.pts = last = pts
        yield picture


def decode_from(
    container: av.container.InputContainer, stream: av.video.VideoStream, begin: Fraction
) -> Iterator[av.VideoFrame]:
    """Pictures from a key picture at or before `begin` (seconds on the file's clock)."""
    unit = stream.time_base or Fraction(1, 25)
    target = begin - Fraction(1, 2)  # reordered pictures are indexed by the earlier time of decoding
    if stream.start_time is not None and target > stream.start_time * unit:
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(int(target / unit), stream=stream)
            pictures = timed(decode(container, stream), stream)
            first = next(pictures, None)
            if first is not None and (first.pts or 0) * unit <= begin:
                return itertools.chain((first,), pictures)
        # No key picture was found, as transport streams have no index: begin anew, well before the first if possible.
        for earlier in (10, 0):
            with contextlib.suppress(av.error.FFmpegError):
                container.seek(stream.start_time - int(earlier / unit), stream=stream)
                break
    return timed(decode(container, stream), stream)
