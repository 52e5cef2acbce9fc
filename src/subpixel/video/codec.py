"""Encode and decode again in memory, frame by frame: what a codec does to a picture, without a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import av
import av.codec.context

from subpixel.errors import VerificationError
from subpixel.frames import Frame
from subpixel.video.convert import from_av
from subpixel.video.formats import choose, convert, picture
from subpixel.video.write import Encoding, open_encoder

_DECODERS = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "libdav1d", "libvpx-vp9": "vp9", "ffv1": "ffv1"}


def roundtrip(frames: Iterable[Frame], encoding: Encoding, *, rate: Fraction | None = None) -> Iterator[Frame]:
    """Each frame as it looks after encoding and decoding, in the order they came.

    Times, colour tags and sample aspect ratio are those of the input; samples, kind, qp and motion come from the
    decoder. No more frames than the encoder looks ahead are in memory. The samples are those of a file written by
    `Writer` with the same settings. rate: frames per second, steers the encoder's rate control only; None takes it
    from the first two frames. Raises UsageError for settings that the encoder refuses, VerificationError if the
    codec gives back fewer or more frames than it got.
    """
    frames = iter(frames)
    head = list(islice(frames, 2))
    if not head:
        return
    layout = choose(head[0], encoding.encoder, encoding.pix_fmt)
    rate = rate or _rate(head)
    encoder = _encoder(convert(head[0], layout), encoding, rate)
    decoder = _decoder(encoder)
    waiting: deque[dict[str, Any]] = deque()
    for index, frame in enumerate(chain(head, frames)):
        made = convert(frame, layout)
        given = picture(made, encoding.encoder)
        given.pts, given.time_base = index, 1 / rate
        waiting.append(_tags(made))
        for packet in encoder.encode(given):
            yield from _decoded(decoder, packet, waiting)
    for packet in [*encoder.encode(None), None]:
        yield from _decoded(decoder, packet, waiting)
    if waiting:
        raise VerificationError(f"{encoding.encoder} gave {len(waiting)} frames too few back; try another preset.")


def _rate(head: list[Frame]) -> Fraction:
    """Frames per second from the duration of the first frame or its distance to the second; 25 without either."""
    first, step = head[0], head[0].duration
    if step <= 0 and len(head) == 2 and first.pts is not None and head[1].pts is not None:
        step = abs(head[1].pts - first.pts)
    return 1 / (step * first.time_base) if step > 0 else Fraction(25)


def _encoder(frame: Frame, encoding: Encoding, rate: Fraction) -> Any:
    encoder: Any = av.CodecContext.create(encoding.encoder, "w")
    encoder.flags |= av.codec.context.Flags.global_header  # as in a file: headers cost no bits of the first frame
    open_encoder(encoder, frame, encoding, rate)
    return encoder


def _decoder(encoder: Any) -> Any:
    decoder: Any = av.CodecContext.create(_DECODERS[encoder.name], "r")
    decoder.width, decoder.height, decoder.extradata = encoder.width, encoder.height, encoder.extradata
    decoder.thread_type = "SLICE"
    decoder.options = {"flags2": "+export_mvs", "export_side_data": "venc_params"}
    return decoder


def _tags(frame: Frame) -> dict[str, Any]:
    names = ("pts", "time_base", "duration", "color", "sar", "interlaced")
    return {name: getattr(frame, name) for name in names}


def _decoded(decoder: Any, packet: Any, waiting: deque[dict[str, Any]]) -> Iterator[Frame]:
    for made in decoder.decode(packet):
        if not waiting:
            raise VerificationError("The codec gave more frames back than it got; try another preset.")
        yield from_av(made).replace(**waiting.popleft())
