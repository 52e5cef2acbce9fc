"""Which streams a file of some kind would take from a source, found out without writing it."""

from __future__ import annotations

import io
from pathlib import Path

import av

from subpixel.video.carry import Assembly, Cargo, Keep, Span
from subpixel.video.mux import container_of
from subpixel.video.source import explained, open_source, video_stream


def outlook(dst: str | Path, source: str | Path, keep: Keep = Keep(), *, encoder: str = "libx264") -> Assembly:
    """What `assemble` would say of its streams: kept and dropped, and how they change; encoder: of the pictures.

    Raises UsageError for a suffix of `dst` that is not known, InputError for a source that cannot be read.
    """
    with explained(source), open_source(source) as inp:
        out = av.open(io.BytesIO(), "w", format=container_of(dst))  # never written to, hence never closed
        cargo = Cargo(inp, video_stream(inp, source), out, Span(), keep)
        cargo.load(out.add_stream(encoder, rate=25))
        return Assembly(tuple(cargo.kept), tuple(cargo.dropped), tuple(cargo.notes))
