"""Whether the lines of a video's pictures are woven from two moments, by what they show and what the flags say."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.filter
import numpy as np
import numpy.typing as npt

from subpixel.frames import Color
from subpixel.video.convert import from_av, tag
from subpixel.video.decode import decode
from subpixel.video.filters import FieldOrder, graph_of, pulled
from subpixel.video.source import explained, open_source, video_stream

_HEIGHT = 400  # no interlaced standard has fewer lines
_SAMPLE = 20  # pictures looked at in each of three places


def field_order(source: str | Path) -> FieldOrder:
    """How a video file's lines are woven.

    "tff" or "bff": all pictures are interlaced with that field first. "flagged": those are whose flags say so.
    Looks at 20 pictures in three places. What they show counts where FFmpeg's idet and the combing of moving parts
    agree clearly; else the flags do. Pictures with no flags and fewer than 400 lines are taken for progressive.
    Raises InputError as `read` does.
    """
    evidence = _Evidence()
    with explained(source), open_source(source) as container:
        stream = video_stream(container, source)
        tall = stream.height >= _HEIGHT
        for place in (0, 1, 2) if tall and stream.duration else (0,):
            with contextlib.suppress(av.error.FFmpegError):  # damage is for `read` to report
                if place:
                    container.seek((stream.start_time or 0) + (stream.duration or 0) * place // 3, stream=stream)
                evidence.watch(itertools.islice(decode(container, stream), _SAMPLE))
    return (evidence.verdict() if tall or evidence.flagged else None) or (
        "flagged" if evidence.flagged else "progressive"
    )


class _Evidence:
    """What pictures say about their lines.

    looks: how many look "tff", "bff", "progressive" or "undetermined" to FFmpeg's idet.
    across, within: roughness of the luma that changes between pictures, from line to line and within one field.
    Woven fields of a moving scene differ more from each other than their own lines do: the first is larger (twice
    to five times in films), while in progressive pictures it is about half of the second.
    """

    def __init__(self) -> None:
        self.flagged = False
        self.looks: Counter[str] = Counter()
        self.across, self.within = 0.0, 0.0

    def watch(self, pictures: Iterable[av.VideoFrame]) -> None:
        """Adds consecutive pictures."""
        graph, before = None, None
        for picture in pictures:
            self.flagged = self.flagged or picture.interlaced_frame
            if graph is None:
                graph = graph_of(picture, ("idet", ""))
            before = self._comb(before, picture)
            tag(picture, Color())
            graph.vpush(picture)
            self._look(graph)
        if graph is not None:
            graph.vpush(None)
            self._look(graph)

    def _look(self, graph: av.filter.Graph) -> None:
        self.looks += Counter(p.metadata["lavfi.idet.single.current_frame"] for p in pulled(graph, Fraction(1)))

    def _comb(self, before: npt.NDArray[np.int32] | None, picture: av.VideoFrame) -> npt.NDArray[np.int32]:
        frame = from_av(picture, codec_info=False)
        luma = (frame.planes[0][:, ::4] >> (frame.layout.bits - 8)).astype(np.int32)
        if before is not None and before.shape == luma.shape and luma.shape[0] > 4:
            moving = np.abs(luma - before)[2:-2] > 8
            middle = 2 * luma[2:-2]
            self.across += float(np.abs(middle - luma[1:-3] - luma[3:-1])[moving].sum())
            self.within += float(np.abs(middle - luma[:-4] - luma[4:])[moving].sum())
        return luma

    def verdict(self) -> FieldOrder | None:
        """The clear case: 95 % of what idet can tell, ten pictures at least and half of all, and the combing agree."""
        decided = self.looks.total() - self.looks["undetermined"]
        if decided < max(10, self.looks.total() / 2):
            return None
        if self.looks["progressive"] > 0.95 * decided and self.across < 0.9 * self.within:
            return "progressive"
        orders: tuple[FieldOrder, ...] = ("tff", "bff")
        clear = (order for order in orders if self.looks[order] > 0.95 * decided and self.across > 1.2 * self.within)
        return next(clear, None)
