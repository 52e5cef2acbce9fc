"""What a job will do, decided and checked before its first frame is restored."""

from __future__ import annotations

import dataclasses
import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from subpixel.color import resolve
from subpixel.errors import DiskError, MemoryLimitError, UsageError
from subpixel.frames import UNSPECIFIED, Color, pixel_format
from subpixel.multiframe.warp_engine import WarpEngine
from subpixel.outcome import megabytes
from subpixel.restore import Restorer
from subpixel.video import Assembly, Encoding, Keep, MediaInfo, check_holds, field_order, probe, writing
from subpixel.video.outlook import outlook

# Rough size of a restored pixel at the default quality; `estimate` measures instead of guessing.
BITS_PER_PIXEL = {"h264": 0.06, "hevc": 0.04, "av1": 0.03, "ffv1": 5.0, "png": 10.0}

RGB = 0  # H.273 matrix
AHEAD = 4  # frames by which a stage may be ahead of the next

TILES = (512, 384, 256, 192, 128, 96, 64)  # sides of tiles that --memory may ask for

# Measured: what Python and the libraries take, and how many frames an encoder holds for look-ahead and references, at
# rest and for each thread.
BASE_BYTES = 160 << 20
ENCODER_FRAMES = {"h264": (20, 11), "hevc": (70, 15), "av1": (90, 20), "ffv1": (2, 1), "png": (2, 0)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to restore one film.

    model: a network or method by name; scale: how many times wider and higher; engine, device, precision: what runs
    the network, where and in which arithmetic; tile: pixels of a tile's side, 0 for what fits; ensemble: the mean over
    eight positions of the picture; warp_engine: limits of align-fuse, None for none;
    encoding: codec and its settings; images: write a folder of PNG pictures instead of a film;
    keep: which other streams are copied; start, end: seconds of the input, None for its bounds;
    deinterlace: "auto" or "off"; input_matrix: "bt601", "bt709", "bt2020", input_range: "limited", "full": what the
    input is, whatever its tags say ("auto": as they say);
    threads: 0 for one per core; memory: bytes that the work may use at its peak, None for no limit;
    overwrite: replace an existing output; resume: continue unfinished work of the same kind;
    keep_chunks: leave the work folder behind; temp_dir: where chunks go, None for beside the output;
    container: "y4m" or "nut", for an output of "-".
    """

    model: str = "fast"
    scale: int = 4
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    tile: int = 0
    ensemble: bool = False
    warp_engine: WarpEngine | None = None
    encoding: Encoding = dataclasses.field(default_factory=Encoding)
    images: bool = False
    keep: Keep = dataclasses.field(default_factory=Keep)
    start: float | None = None
    end: float | None = None
    deinterlace: str = "auto"
    input_matrix: str = "auto"
    input_range: str = "auto"
    threads: int = 0
    memory: int | None = None
    overwrite: bool = False
    resume: bool = True
    keep_chunks: bool = False
    temp_dir: str | Path | None = None
    container: Literal["y4m", "nut"] = "y4m"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked request and what it comes to; the numbers are None where the input does not tell.

    engine, weights_sha256: None for methods without a network. width, height: of the output in pixels.
    bytes: a guess at the output's size; disk: bytes needed while working; free: bytes free there.
    memory: bytes at the peak. ahead: frames that each stage may be ahead of the next.
    color: what the samples are taken for. deinterlaced: the input's fields are woven and will be separated.
    kept: the input's other streams that are copied; dropped: (stream, reason).
    """

    source: str
    output: str
    options: Options
    info: MediaInfo | None
    engine: str | None
    weights_sha256: str | None
    width: int | None
    height: int | None
    frames: int | None
    bytes: int | None
    disk: int | None
    free: int | None
    memory: int | None
    ahead: int
    color: str
    deinterlaced: bool
    kept: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        count = "an unknown number of" if self.frames is None else f"about {self.frames}"
        size = "" if self.width is None else f", {self.width}x{self.height}"
        lines = [f"{self.output}: {count} frames{size} {'png' if self.options.images else self.options.encoding.codec}"]
        network = f" ({self.engine}, network {self.weights_sha256[:12]})" if self.weights_sha256 else ""
        lines.append(f"  model    {self.options.model} x{self.options.scale}{network}")
        if self.options.tile:
            lines.append(f"  tiles    {self.options.tile}x{self.options.tile} pixels")
        if self.color:
            lines.append(f"  colour   {self.color}")
        if self.deinterlaced:
            lines.append("  fields   interlaced, to be deinterlaced")
        if self.bytes is not None and self.disk is not None and self.free is not None:
            lines.append(
                f"  disk     about {megabytes(self.bytes)}, {megabytes(self.disk)} while working; "
                f"{megabytes(self.free)} free"
            )
        if self.memory is not None:
            lines.append(f"  memory   at most {megabytes(self.memory)}")
        lines += [f"  keeps    {stream}" for stream in self.kept]
        lines += [f"  drops    {stream}: {reason}" for stream, reason in self.dropped]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For --json: everything but the options and the probe's findings."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("options", "info")}

    def header(self, source_sha256: str) -> dict[str, Any]:
        """What finished chunks depend on, for the journal."""
        o = self.options
        return {
            "version of subpixel": metadata.version("subpixel"),
            "input": source_sha256,
            "model": o.model,
            "scale": o.scale,
            "network": self.weights_sha256,
            "engine": self.engine,
            "tile": o.tile,
            "ensemble": o.ensemble,
            "warp engine": o.warp_engine and str(o.warp_engine),
            "encoding": dataclasses.asdict(o.encoding),
            "images": o.images,
            "section": [o.start, o.end],
            "deinterlacing": o.deinterlace,
            "input matrix": o.input_matrix,
            "input range": o.input_range,
        }


def plan(src: str | Path, dst: str | Path, options: Options = Options()) -> Plan:
    """Check the request against the input, the output's place and the limits; nothing is written.

    Raises UsageError, InputError, WeightsError, MemoryLimitError or DiskError, as the sentence says.
    """
    source, output = str(src), str(dst)
    _check_request(source, output, options)
    info = None if source == "-" else probe(source)
    model = restorer(options)
    options, ahead, memory = _within_memory(options, model, info)
    frames = None if info is None else frame_count(info, options)
    size = None if info is None else (info.video.width * options.scale, info.video.height * options.scale)
    expected = None if size is None or frames is None else expected_bytes(size, frames, options)
    disk = None if expected is None or output == "-" else 2 * expected + _copied_bytes(source)
    free = None if output == "-" else shutil.disk_usage(_existing_parent(Path(output))).free
    if disk is not None and free is not None and free < disk / 4:
        raise DiskError(
            f"{output!r} needs about {disk / 1e6:,.0f} MB while it is made, but only {free / 1e6:,.0f} MB are free "
            "there; free some space or choose another disk."
        )
    streams = Assembly()
    if info is not None and output != "-" and not options.images and not Path(source).is_dir():
        streams = outlook(output, source, options.keep, encoder=options.encoding.encoder)
    width, height = size or (None, None)
    return Plan(
        source=source,
        output=output,
        options=options,
        info=info,
        engine=None if model.engine is None else str(model.engine),
        weights_sha256=model.sha256,
        width=width,
        height=height,
        frames=frames,
        bytes=expected,
        disk=disk,
        free=free,
        memory=memory,
        ahead=ahead,
        color="" if info is None else color_note(info.video.color, options.input_matrix, options.input_range),
        deinterlaced=source != "-" and options.deinterlace == "auto" and _is_interlaced(source),
        kept=streams.kept,
        dropped=streams.dropped,
    )


def _is_interlaced(source: str) -> bool:
    return not Path(source).is_dir() and field_order(source) != "progressive"


def frame_count(info: MediaInfo, options: Options) -> int | None:
    """About how many frames the section has; None where the container tells neither count nor duration."""
    video = info.video
    seconds = video.duration or info.duration
    total = video.frames or (seconds and video.rate and round(seconds * video.rate))
    if not total or (options.start is None and options.end is None):
        return total or None
    if not seconds:
        return None
    inside = min(options.end or seconds, seconds) - (options.start or 0.0)
    return max(0, round(total * inside / seconds))


def expected_bytes(size: tuple[int, int], frames: int, options: Options) -> int:
    """A guess at the output's size from its codec and quality."""
    codec = "png" if options.images else options.encoding.codec
    crf = options.encoding.crf
    better = 0.0 if crf is None else {"h264": 16, "hevc": 18, "av1": 24}.get(codec, crf) - crf
    return int(size[0] * size[1] * frames * BITS_PER_PIXEL.get(codec, 1.0) / 8 * 2 ** (better / 6))


def color_note(color: Color, matrix: str = "auto", value_range: str = "auto") -> str:
    """What samples with these tags are taken for, in words; matrix, value_range: what the user said instead."""
    if color.matrix == RGB:
        return "RGB"
    known, full = resolve(color)
    words = [f"BT.{known.removeprefix('bt')}", f"{'full' if full else 'limited'} range"]
    guessed = []
    if matrix != "auto":
        words[0] = f"BT.{matrix.removeprefix('bt')} as asked"
    elif color.matrix == UNSPECIFIED:
        guessed.append("matrix")
    if value_range != "auto":
        words[1] = f"{value_range} range as asked"
    elif color.range == 0:
        guessed.append("range")
    taken = ", ".join(words)
    return f"{' and '.join(guessed)} untagged: treated as {taken}" if guessed else taken


def _check_request(source: str, output: str, options: Options) -> None:
    first, last = options.start or 0.0, options.end
    if first < 0 or (last is not None and last <= first):
        raise UsageError(f"The section from {first:g} s to {last} s is empty; --end must come after --start.")
    if output == "-":
        if options.images:
            raise UsageError("Pictures cannot go to standard output; name a folder for them.")
        return
    with writing(Path(output)):
        _check_output(source, Path(output), options)


def _check_output(source: str, path: Path, options: Options) -> None:
    output = str(path)
    if source != "-" and path.exists() and Path(source).exists() and path.samefile(source):
        raise UsageError(f"{output!r} is the input itself; choose another output.")
    if path.is_dir() and not options.images:
        raise UsageError(f"{output!r} is a folder; name a file in it, such as {str(path / 'restored.mkv')!r}.")
    if not options.images:
        check_holds(path, options.encoding.codec)
    if options.images and path.is_dir() and any(p.suffix != ".png" for p in path.iterdir()):
        raise UsageError(f"The folder {output!r} holds more than PNG pictures; choose a new or an empty one.")


def check_free(output: Path, options: Options) -> None:
    """Raise UsageError if the output exists and must not be replaced."""
    taken = any(output.iterdir()) if output.is_dir() else output.exists() or output.is_symlink()
    if taken and not options.overwrite:
        raise UsageError(f"{str(output)!r} exists already; add -y (overwrite) to replace it, or choose another output.")


def restorer(options: Options) -> Restorer:
    """The model that the options ask for, ready to be run; raises as `subpixel.restore` does."""
    o = options
    return Restorer(
        o.model,
        o.scale,
        engine=o.engine,
        device=o.device,
        precision=o.precision,
        threads=o.threads,
        tile=o.tile,
        ensemble=o.ensemble,
        warp_engine=o.warp_engine,
    )


def peak_memory(info: MediaInfo, options: Options, model: Restorer, ahead: int) -> int:
    """An upper guess at the bytes in use at once, for an input like this."""
    layout = pixel_format(info.video.format)
    planes = [layout.plane_size(i, info.video.width, info.video.height) for i in range(layout.planes)]
    low = sum(height * width for height, width in planes) * (1 if layout.bits == 8 else 2)
    still, each = ENCODER_FRAMES["png" if options.images else options.encoding.codec]
    encoder = still + each * _encoder_threads(options)
    return (
        BASE_BYTES
        + (30 + model.before + model.after) * low  # the decoder's references, and what is held for the network
        + model.memory(info.video.width, info.video.height, options.tile)
        + (2 * ahead + 4 + encoder) * low * options.scale**2
    )


def _encoder_threads(options: Options) -> int:
    return options.encoding.threads or round(1.5 * (os.cpu_count() or 1))


def _within_memory(options: Options, model: Restorer, info: MediaInfo | None) -> tuple[Options, int, int | None]:
    """(options with fewer encoder threads and smaller tiles if need be, frames ahead, bytes at the peak)."""
    if info is None:
        return options, AHEAD, None
    ahead, need = AHEAD, peak_memory(info, options, model, AHEAD)
    limit, chosen = options.memory or need, options
    sides = [
        side for side in TILES if side < min(options.tile or TILES[0] + 1, max(info.video.width, info.video.height))
    ]
    while need > limit:
        threads = _encoder_threads(chosen)
        if ahead > 1:
            ahead = 1
        elif threads > 1:
            chosen = dataclasses.replace(chosen, encoding=dataclasses.replace(chosen.encoding, threads=threads // 2))
        elif sides and model.engine is not None:
            chosen = dataclasses.replace(chosen, tile=sides.pop(0))
        else:
            raise MemoryLimitError(
                f"Restoring {info.video.width}x{info.video.height} by {options.scale} needs about "
                f"{need / 1e6:,.0f} MB at least, but --memory allows {limit / 1e6:,.0f} MB; allow more, or choose "
                "a smaller --scale."
            )
        need = peak_memory(info, chosen, model, ahead)
    return chosen, ahead, need


def _copied_bytes(source: str) -> int:
    """At most what the copied sound and subtitles take."""
    path = Path(source)
    return path.stat().st_size if path.is_file() else 0


def _existing_parent(path: Path) -> Path:
    return next(p for p in path.absolute().parents if p.is_dir())
