"""One picture to the bytes of an image file."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError

ImageFormat = Literal["png", "webp", "jpeg"]

# Encoder, pixel format and options. WebP lossless is a third smaller than PNG; JPEG is 4:4:4 at its finest quantiser.
_ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "png": ("png", "rgb24", {"pred": "mixed"}),
    "webp": ("libwebp", "bgra", {"lossless": "1", "compression_level": "2", "quality": "20"}),
    "jpeg": ("mjpeg", "yuvj444p", {"qmin": "1", "qmax": "1"}),
}


def encode_image(rgb: npt.NDArray[np.uint8], format: ImageFormat = "png") -> bytes:  # noqa: A002
    """Bytes of a PNG or WebP (both lossless) or JPEG (about 46 dB) file of 8-bit RGB (h, w, 3).

    Raises UsageError for another shape, sample type or format.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise UsageError(f"An image is encoded from (height, width, 3) uint8, not {rgb.shape} {rgb.dtype}.")
    if format not in _ENCODERS:
        raise UsageError(f"Image format {format!r} is unknown; use png, webp or jpeg.")
    name, pixels, options = _ENCODERS[format]
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(name, "w"))
    encoder.height, encoder.width = rgb.shape[:2]
    encoder.pix_fmt, encoder.options = pixels, options
    encoder.framerate = Fraction(25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    if pixels != "rgb24":
        frame = frame.reformat(format=pixels, threads=1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
