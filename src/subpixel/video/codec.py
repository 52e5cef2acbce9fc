"""Encode and decode again in memory, frame by frame: what a codec does to a picture, without a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import av
import av.filter
import numpy as np

from subpixel.errors import UsageError, VerificationError
from subpixel.frames import Frame, Plane, pixel_format

_INFO = {"flags2": "+export_mvs", "export_side_data": "venc_params"}
_KINDS = {1: "I", 2: "P", 3: "B"}
_DECODERS = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "libdav1d", "libvpx-vp9": "vp9"}


def roundtrip(
    frames: Iterable[Frame], codec: str, options: Mapping[str, str], *, rate: Fraction | None = None
) -> Iterator[Frame]:
    """Yield each frame as it looks after the encoder `codec` (FFmpeg's name) and its decoder.

    Times, colour and sample aspect ratio come from the input; samples, kind, qp and motion from the decoder.
    At most the encoder's look-ahead is in memory. `rate` (frames per second) steers the encoder's rate
    control; None takes it from the first two frames. Raises UsageError for an encoder or option that
    FFmpeg does not have, VerificationError if the codec returns fewer or more frames than it was given.
    """
    frames = iter(frames)
    head = list(islice(frames, 2))
    if not head:
        return
    rate = rate or _rate(head)
    encoder = _open_encoder(head[0], codec, options, rate)
    decoder = av.CodecContext.create(_DECODERS[codec], "r")
    decoder.options = _INFO
    waiting: deque[dict[str, Any]] = deque()
    tick = -1
    for frame in chain(head, frames):
        tick = _tick(frame, rate, tick)
        waiting.append(_about(frame))
        for packet in encoder.encode(_to_av(frame, tick, 1 / rate)):
            yield from _decoded(decoder, packet, waiting)
    for packet in [*encoder.encode(None), None]:
        yield from _decoded(decoder, packet, waiting)
    if waiting:
        raise VerificationError(f"{codec} gave {len(waiting)} frames too few back; use another codec or preset.")


def rescale(frames: Iterable[Frame], width: int, height: int, kernel: str) -> Iterator[Frame]:
    """Yield each frame at another size, by FFmpeg's scale filter with its default flags."""
    graph = None
    for frame in frames:
        picture = _to_av(frame, 0, Fraction(1, 25))
        graph = graph or _scaler(frame, width, height, kernel)
        graph.push(picture)
        yield _from_av(graph.pull(), _about(frame))


def _scaler(frame: Frame, width: int, height: int, kernel: str) -> Any:
    graph: Any = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=av.VideoFormat(frame.format), time_base=Fraction(1, 25)
    )
    scale = graph.add("scale", f"{width}:{height}:flags={kernel}")
    sink = graph.add("buffersink")
    source.link_to(scale)
    scale.link_to(sink)
    graph.configure()
    return graph


def _open_encoder(frame: Frame, codec: str, options: Mapping[str, str], rate: Fraction) -> Any:
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.color_primaries, encoder.color_trc = frame.color.primaries, frame.color.transfer
    encoder.colorspace, encoder.color_range = frame.color.matrix, frame.color.range
    encoder.thread_type = "AUTO"  # PyAV's own default, "SLICE", cuts every picture into as many slices as threads
    encoder.options = dict(options)
    try:
        encoder.open()
    except (av.FFmpegError, ValueError) as error:
        wish = " ".join(f"{key}={value}" for key, value in options.items())
        raise UsageError(f"{codec} refuses {frame.width}x{frame.height} {frame.format} with {wish}: {error}.") from error
    return encoder


def _rate(head: list[Frame]) -> Fraction:
    """Frames per second from the distance of the first two frames; 25 where they have no times."""
    times = [frame.pts for frame in head]
    step = head[0].duration
    if len(times) == 2 and times[0] is not None and times[1] is not None and times[1] > times[0]:
        step = times[1] - times[0]
    return 1 / (step * head[0].time_base) if step > 0 else Fraction(25)


def _tick(frame: Frame, rate: Fraction, last: int) -> int:
    """The frame's time in units of 1 / rate, as ffmpeg rounds it, but always later than the last one."""
    return last + 1 if frame.pts is None else max(last + 1, round(frame.pts * frame.time_base * rate))


def _about(frame: Frame) -> dict[str, Any]:
    names = ("pts", "time_base", "duration", "color", "sar", "interlaced")
    return {name: getattr(frame, name) for name in names}


def _decoded(decoder: Any, packet: Any, waiting: deque[dict[str, Any]]) -> Iterator[Frame]:
    for picture in decoder.decode(packet):
        if not waiting:
            raise VerificationError("The codec gave more frames back than it was given; use another codec or preset.")
        yield _from_av(picture, waiting.popleft())


def _to_av(frame: Frame, pts: int, time_base: Fraction) -> Any:
    picture: Any = av.VideoFrame(frame.width, frame.height, frame.format)
    for source, plane in zip(frame.planes, picture.planes, strict=True):
        rows = np.frombuffer(plane, source.dtype).reshape(plane.height, -1)
        rows[:, : source.shape[1]] = source
    picture.pts, picture.time_base = pts, time_base
    return picture


def _from_av(picture: Any, about: dict[str, Any]) -> Frame:
    layout = pixel_format(picture.format.name.replace("yuvj", "yuv"))
    planes = tuple(_samples(plane, layout.dtype) for plane in picture.planes)
    return Frame(
        planes,
        layout.name,
        kind=_KINDS.get(int(picture.pict_type), "?"),
        qp=_quantisers(picture),
        motion=_motion(picture),
        **about,
    )


def _samples(plane: Any, dtype: type) -> Plane:
    rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
    return rows[:, : plane.width].copy()


def _quantisers(picture: Any) -> Any:
    """Quantiser of each 16x16 macroblock, from FFmpeg's AVVideoEncParams: a header, then (x, y, w, h, delta) each."""
    data = picture.side_data.get("VIDEO_ENC_PARAMS")
    if data is None:
        return None
    raw = bytes(data)
    count = int.from_bytes(raw[:4], "little")
    offset, size = (int.from_bytes(raw[at : at + 8], "little") for at in (8, 16))
    base = int(np.frombuffer(raw, "<i4", 1, 28)[0])
    shape = -(-picture.height // 16), -(-picture.width // 16)
    if count != shape[0] * shape[1]:
        return None
    blocks = np.ndarray((count, 5), "<i4", raw, offset, (size, 4))
    qp = np.zeros(shape, np.int16)
    qp[blocks[:, 1] // 16, blocks[:, 0] // 16] = base + blocks[:, 4]
    return qp


def _motion(picture: Any) -> Any:
    vectors = picture.side_data.get("MOTION_VECTORS")
    return None if vectors is None else vectors.to_ndarray()
