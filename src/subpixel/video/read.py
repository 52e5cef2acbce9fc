"""Any video, image, folder of images or pipe becomes Frames: planes as coded, every time stamp, what the codec said."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.video

from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.video.convert import from_av
from subpixel.video.source import explained, open_source, shown, video_stream


def read(
    source: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    deinterlace: str = "auto",
    codec_info: bool = True,
    threads: int = 0,
) -> Iterator[Frame]:
    """Frames of a video in order of presentation."""
    with explained(source), open_source(source) as container:
        stream = video_stream(container, source)
        sar = stream.sample_aspect_ratio or Fraction(0)
        _set_decoder(stream, codec_info, threads)
        for picture in container.decode(stream):
            yield from_av(picture, sar=sar, codec_info=codec_info)


def _set_decoder(stream: av.video.VideoStream, codec_info: bool, threads: int) -> None:
    decoder = stream.codec_context
    decoder.thread_count = threads
    decoder.thread_type = "SLICE" if codec_info else "AUTO"
    if codec_info:
        decoder.options = {"flags2": "+export_mvs", "export_side_data": "venc_params"}
