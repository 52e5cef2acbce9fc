"""subpixel probe, subpixel models"""

import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from subpixel.cli import options as o

if TYPE_CHECKING:
    from subpixel.video import MediaInfo

SCHEMA_VERSION = 1


def probe(source: o.Input, as_json: o.Json = False) -> None:
    """Show what a film holds.

    Pictures, times, colours, other streams, chapters, as `upscale` sees them.
    """
    from subpixel.video import probe as examine

    info = examine(source)
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(info)}, default=_plain))
    else:
        print("\n".join(_described(info)))


def models(as_json: o.Json = False) -> None:
    """List the networks and methods.

    With scale, size, measured quality, and whether each network's file is intact.
    """
    from subpixel import upsample, weights
    from subpixel.errors import WeightsError
    from subpixel.multiframe.align_fuse import NAME

    rows: list[dict[str, Any]] = []
    damage: list[str] = []
    for network in weights.shipped():
        files = [network.file(part) for part in ("step", "back") if part == "step" or "back" in network.card]
        state, size = "intact", sum(f.stat().st_size for f in files) if all(f.is_file() for f in files) else None
        try:
            weights.check(network)
        except WeightsError as error:
            state = "damaged"
            damage.append(str(error))
        rows.append({"name": network.name, "scale": network.scale, "bytes": size, "state": state, "card": network.card})
    methods = (*upsample.METHODS, NAME)
    rows += [{"name": name, "scale": None, "bytes": None, "state": "method", "card": None} for name in methods]
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, "models": rows}))
    else:
        print("\n".join(map(_row, rows)))
    if damage:
        raise WeightsError(" ".join(damage))


def _described(info: "MediaInfo") -> Iterator[str]:
    from subpixel.plan import color_note

    video = info.video
    length = "length unknown" if info.duration is None else f"{info.duration:.3f} s"
    rate = "rate unknown" if video.rate is None else f"{float(video.rate):.6g} frames/s"
    frames = "frames not counted" if video.frames is None else f"{video.frames} frames"
    codes = f"primaries {video.color.primaries}, transfer {video.color.transfer} (H.273)"
    yield f"{info.path}: {info.container}, {length}"
    yield f"  video    {video.codec}, {video.width}x{video.height} {video.coded_format}, {rate}, {frames}"
    yield f"  colour   {color_note(video.color)}; {codes}"
    if video.sar not in (0, 1):
        yield f"  samples  {video.sar.numerator}:{video.sar.denominator} (width to height)"
    if video.rotation:
        yield f"  rotated  {video.rotation} degrees counter-clockwise"
    if video.interlaced:
        yield "  fields   interlaced"
    for stream in info.streams:
        if stream.index != video.index:
            words = (stream.kind, stream.codec, stream.language, stream.title, *stream.disposition)
            yield f"  stream   {stream.index}: {', '.join(word for word in words if word)}"
    for chapter in info.chapters:
        yield f"  chapter  {chapter.start:.3f} to {chapter.end:.3f} s: {chapter.title}"


def _row(model: dict[str, Any]) -> str:
    from subpixel.outcome import megabytes

    card = model["card"] or {}
    psnr = card.get("quality", {}).get("psnr")
    quality = "" if psnr is None else f"{psnr:.2f} dB"
    scale = "x1 to x4" if model["scale"] is None else f"x{model['scale']}"
    size = "" if model["bytes"] is None else megabytes(model["bytes"])
    row = f"{model['name']:<10} {scale:<9} {size:>8}  {quality:>9}  {card.get('sha256', '')[:12]:<13} {model['state']}"
    return row.rstrip()


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Fraction) else str(value)
