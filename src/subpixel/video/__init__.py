"""Everything that touches files, codecs and containers; the only package that imports av."""

from subpixel.video.filters import FieldOrder, rescale
from subpixel.video.probe import Chapter, MasteringDisplay, MediaInfo, StreamInfo, VideoInfo, probe
from subpixel.video.read import field_order, read

__all__ = [
    "Chapter",
    "FieldOrder",
    "MasteringDisplay",
    "MediaInfo",
    "StreamInfo",
    "VideoInfo",
    "field_order",
    "probe",
    "read",
    "rescale",
]
