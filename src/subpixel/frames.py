"""Frame: one picture as the decoder gave it, and all that the codec said about it.

Knows arrays and numbers only, never files, codecs or networks.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

UNSPECIFIED = 2  # H.273: "image characteristics are unknown" for matrix, primaries, transfer
LIMITED, FULL = 1, 2  # value range; 0 where the stream does not say


@dataclasses.dataclass(frozen=True, slots=True)
class Color:
    """What the stream says about its colours: H.273 code points, kept as they came.

    matrix 1 is BT.709, 5 and 6 BT.601, 9 BT.2020; 0 is RGB; 2 means untagged.
    range is 1 (limited, 16-235), 2 (full) or 0 (untagged).
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a named pixel format lays out its planes.

    planes: number of planes; bits: significant bits of a sample; chroma_x, chroma_y:
    log2 of how much narrower and lower the chroma planes are; alpha: the last plane is opacity;
    rgb: the planes are G, B, R in this order, as FFmpeg's gbrp.
    """

    name: str
    planes: int
    bits: int
    chroma_x: int
    chroma_y: int
    alpha: bool
    rgb: bool

    @property
    def peak(self) -> int:
        """Largest sample value: 255 for 8 bits."""
        return (1 << self.bits) - 1

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Array type that holds a sample."""
        return np.uint8 if self.bits == 8 else np.uint16

    def plane_size(self, index: int, width: int, height: int) -> tuple[int, int]:
        """(height, width) of plane `index` of a picture; chroma sizes are rounded up."""
        if index in (1, 2) and not self.rgb:
            return -(-height >> self.chroma_y), -(-width >> self.chroma_x)
        return height, width


_FORMAT = re.compile(
    r"(?:(?P<gray>gray)|(?P<rgb>gbra?p)|yuv(?P<a>a?)(?P<css>420|422|444)p)(?P<bits>9|10|12|14|16)?(?:le)?"
)
_CHROMA = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}


@functools.cache
def pixel_format(name: str) -> PixelFormat:
    """Layout of an FFmpeg planar format name: gray, yuv(a)420/422/444p, gbr(a)p, 8 to 16 bits.

    Raises InputError for a format that Frame does not carry (packed, big-endian, float).
    """
    match = _FORMAT.fullmatch(name)
    if match is None or name.endswith("le") != (match["bits"] is not None):
        raise InputError(
            f"Pixel format {name!r} is not supported; "
            "use a planar one such as yuv420p, yuv422p10le, yuv444p12le, gray or gbrp."
        )
    alpha = match["a"] == "a" or match["rgb"] == "gbrap"
    chroma_x, chroma_y = _CHROMA.get(match["css"] or "", (0, 0))
    planes = (1 if match["gray"] else 3) + alpha
    return PixelFormat(name, planes, int(match["bits"] or 8), chroma_x, chroma_y, alpha, match["rgb"] is not None)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture.

    planes: as decoded, each (height, width), uint8 for 8 bits and uint16 above, code values not
        scaled; Y, U, V (or G, B, R for gbrp, or Y alone for gray) and A last where there is one.
    format: FFmpeg's name of the planar layout, see `pixel_format`.
    pts: presentation time in units of time_base, None where the stream gives none.
    duration: in units of time_base, 0 where unknown.
    sar: sample aspect ratio, width over height of one sample; 0 where unknown.
    kind: "I", "P", "B", or "?" where the codec does not say.
    qp: (ceil(height / 16), ceil(width / 16)) int16, quantiser of each macroblock on the codec's
        own scale (0-51 for H.264), or None.
    motion: the codec's motion vectors as a structured array (source, w, h, src_x, src_y, dst_x,
        dst_y, motion_x, motion_y, motion_scale, in pixels of this frame), or None.
    """

    planes: tuple[Plane, ...]
    format: str = "yuv420p"
    pts: int | None = None
    time_base: Fraction = Fraction(1, 25)
    duration: int = 0
    color: Color = Color()
    sar: Fraction = Fraction(0)
    kind: str = "?"
    interlaced: bool = False
    qp: npt.NDArray[np.int16] | None = None
    motion: npt.NDArray[np.void] | None = None

    def __post_init__(self) -> None:
        layout = self.layout
        if len(self.planes) != layout.planes:
            raise InputError(f"A {self.format} frame has {layout.planes} planes, not {len(self.planes)}.")
        for index, plane in enumerate(self.planes):
            want = layout.plane_size(index, self.width, self.height)
            if plane.shape != want or plane.dtype != layout.dtype or 0 in want:
                raise InputError(
                    f"Plane {index} of a {self.width}x{self.height} {self.format} frame must be {want} "
                    f"{np.dtype(layout.dtype)}, not {plane.shape} {plane.dtype}."
                )

    @property
    def layout(self) -> PixelFormat:
        """The parsed pixel format."""
        return pixel_format(self.format)

    @property
    def width(self) -> int:
        """Picture width in pixels."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """Picture height in pixels."""
        return int(self.planes[0].shape[0])

    @property
    def seconds(self) -> float | None:
        """Presentation time in seconds."""
        return None if self.pts is None else float(self.pts * self.time_base)

    def replace(self, **changes: object) -> Frame:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Frame({self.width}x{self.height} {self.format} {self.kind} pts={self.pts}*{self.time_base})"
