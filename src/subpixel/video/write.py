"""Encoding one chunk of a film to a file of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from subpixel.errors import DiskError, UsageError
from subpixel.frames import Frame
from subpixel.video.formats import changes, choose, convert, picture, stored_name

INDEX_BASE = Fraction(1, 1000)  # a chunk's time base, Matroska's own: its pts count frames
_REORDER = 64  # more frames than any encoder holds one back


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    encoder: str
    crf: float | None
    preset: str | None
    options: tuple[tuple[str, str], ...] = ()


def _without_avx512() -> tuple[tuple[str, str], ...]:
    """x264 without its AVX-512 code, which reads memory it never wrote: the same frames would be coded differently
    each time. The AVX2 code is as fast and gives what fresh, zeroed memory gives."""
    cpu = Path("/proc/cpuinfo")
    avx512 = cpu.exists() and "avx512" in cpu.read_text(encoding="ascii", errors="replace")
    return (("x264-params", "asm=avx2,fma3,bmi2"),) if avx512 else ()


# Each chunk must start with a closed group of pictures, and none may lean on frames of another chunk.
_CODECS = {
    "h264": _Codec("libx264", 16, "veryfast", _without_avx512()),
    "hevc": _Codec("libx265", 18, "veryfast", (("x265-params", "open-gop=0:log-level=error"),)),
    "av1": _Codec("libsvtav1", 24, "8"),
    "vp9": _Codec("libvpx-vp9", 32, None, (("b", "0"), ("cpu-used", "2"))),
    "ffv1": _Codec("ffv1", None, None, (("level", "3"), ("slicecrc", "1"), ("g", "1"))),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Encoding:
    """How frames are encoded.

    codec: "h264", "hevc", "av1", "vp9" or "ffv1" (lossless). crf and preset: the encoder's own scales, None for
    this codec's default. pix_fmt: None keeps the frames' own where the codec has it, else the nearest.
    extra: further options of the encoder as (name, value). threads: 0 for as many as there are cores.
    """

    codec: str = "h264"
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    threads: int = 0

    def __post_init__(self) -> None:
        if self.codec not in _CODECS:
            raise UsageError(f"There is no codec {self.codec!r}; choose one of {', '.join(_CODECS)}.")
        if _CODECS[self.codec].crf is None and (self.crf is not None or self.preset is not None):
            raise UsageError(f"{self.codec} is lossless and takes neither a crf nor a preset; leave both out.")

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return _CODECS[self.codec].encoder

    def options(self) -> dict[str, str]:
        """The encoder's options by name; x265-params and the like are appended to this codec's own."""
        codec = _CODECS[self.codec]
        options = dict(codec.options)
        steered = any(key in ("qp", "b") for key, _ in self.extra)  # by other means than a crf, which would prevail
        crf = codec.crf if self.crf is None and not steered else self.crf
        preset = self.preset or codec.preset
        options |= {} if crf is None else {"crf": f"{crf:g}"}
        options |= {} if preset is None else {"preset": preset}
        for key, value in self.extra:
            own = dict(codec.options).get(key)
            options[key] = f"{own}:{value}" if key.endswith("-params") and own else value
        return options


class Writer:
    """Encodes one chunk of a film to a Matroska file of its own; the job joins chunks with `assemble`.

    Frame i is stored with pts i in units of 1/1000: true times are known to the job and set on joining.
    The first frame decides size, format, colour tags and sample aspect ratio; `rate`, frames per second,
    steers only the encoder's rate control and must be the same for all chunks of a film.
    As a context manager it removes the file if it is left by an error.
    """

    def __init__(self, path: str | Path, encoding: Encoding = Encoding(), *, rate: Fraction | None = None) -> None:
        self.path = Path(path)
        self.encoding = encoding
        self.frames = 0
        self.notes: tuple[str, ...] = ()
        self._rate = min(max(rate or Fraction(25), Fraction(1)), Fraction(240)).limit_denominator(100_000)
        self._packets = 0
        self._container: Any = None
        self._stream: Any = None
        self._first: Frame | None = None

    def write(self, frame: Frame) -> None:
        """Encode the next frame. Raises UsageError if it differs in size or format, DiskError if the disk is full."""
        with writing(self.path):
            if self._first is None:
                self._open(frame)
            elif (frame.width, frame.height, frame.format) != self._shape():
                raise UsageError(f"{frame!r} cannot follow {self._first!r}: one chunk holds one size and one format.")
            made = picture(convert(frame, self._layout), self.encoding.encoder)
            made.pts, made.time_base = self.frames, 1 / self._rate
            self._mux(self._stream.encode(made))
            self.frames += 1

    def close(self) -> None:
        """Finish the file. Raises UsageError if no frame was written, DiskError if the disk is full."""
        if self._container is None:
            raise UsageError(f"No frame was written to {self.path}; a chunk needs at least one.")
        with writing(self.path):
            self._mux(self._stream.encode(None))
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self.close()
            except BaseException:
                self._discard()
                raise
        else:
            self._discard()

    def _shape(self) -> tuple[int, int, str]:
        assert self._first is not None
        return self._first.width, self._first.height, self._first.format

    def _open(self, frame: Frame) -> None:
        encoder = self.encoding.encoder
        self._layout = choose(frame, encoder, self.encoding.pix_fmt)
        self.notes = changes(frame.layout, self._layout)
        self._container = av.open(f"file:{self.path}", "w", format="matroska")
        stream: Any = self._container.add_stream(encoder, rate=self._rate)
        open_encoder(stream.codec_context, convert(frame, self._layout), self.encoding, self._rate)
        self._stream, self._first = stream, frame

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            # Matroska stores no decoding times, and x265 leaves that of a lone frame unset.
            packet.time_base, packet.dts = INDEX_BASE, self._packets - _REORDER
            self._packets += 1
            self._container.mux_one(packet)

    def _discard(self) -> None:
        if self._container is not None:
            with contextlib.suppress(OSError, ValueError, av.FFmpegError):
                self._container.close()
        self.path.unlink(missing_ok=True)


def open_encoder(context: Any, frame: Frame, encoding: Encoding, rate: Fraction) -> None:
    """Open libav's encoder for frames like this one, which has the encoder's pixel format.

    Raises UsageError that names the options it does not know or refuses.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells its whole configuration otherwise
    context.width, context.height = frame.width, frame.height
    context.pix_fmt = stored_name(frame.layout, encoding.encoder)
    context.framerate, context.time_base = rate, 1 / rate
    if frame.sar:
        context.sample_aspect_ratio = frame.sar
    context.color_range, context.colorspace = frame.color.range, frame.color.matrix
    context.color_primaries, context.color_trc = frame.color.primaries, frame.color.transfer
    context.thread_type = "AUTO"  # PyAV's own default, slices, costs quality with x264
    context.thread_count = encoding.threads
    options = encoding.options()
    if encoding.codec == "ffv1" and min(frame.width, frame.height) < 64:
        options.setdefault("slices", "1")  # its own choice fails at many small sizes
    context.options = dict(options)
    wish = " ".join(f"{key}={value}" for key, value in options.items())
    try:
        with _as_scheduled():
            context.open()
    except (av.FFmpegError, ValueError) as error:
        shape = f"{frame.width}x{frame.height} {context.pix_fmt}"
        raise UsageError(f"{context.name} refuses {shape} with {wish or 'no options'}: {error}.") from error
    if context.options:
        raise UsageError(f"{context.name} has no option {', '.join(context.options)}; see `ffmpeg -h encoder=...`.")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn every failure to write into a DiskError that names the path and the free space."""
    try:
        yield
    except OSError as error:
        raise DiskError(_disk_sentence(path, error)) from error


def _disk_sentence(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"Cannot write {path}: {error.strerror} ({_free(path)}). Free some space or choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Cannot write {path}: {error.strerror} ({_free(path)}). Choose a folder you may write to."
    return f"Cannot write {path}: {error.strerror or error} ({_free(path)}). Choose another place."


def _free(path: Path) -> str:
    folder = next((p for p in path.absolute().parents if p.is_dir()), Path("/"))
    return f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB free in {folder}"


@contextlib.contextmanager
def _as_scheduled() -> Iterator[None]:
    """Take back what SVT-AV1 does where it may, as root: it makes the whole process real-time."""
    ordinary = hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) == os.SCHED_OTHER
    try:
        yield
    finally:
        if ordinary and os.sched_getscheduler(0) != os.SCHED_OTHER:
            for thread in map(int, os.listdir("/proc/self/task")):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
