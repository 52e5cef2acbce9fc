"""Everything that touches files, codecs and containers; the only package that imports av."""

from subpixel.video.probe import Chapter, MasteringDisplay, MediaInfo, StreamInfo, VideoInfo, probe
from subpixel.video.read import read

__all__ = ["Chapter", "MasteringDisplay", "MediaInfo", "StreamInfo", "VideoInfo", "probe", "read"]
