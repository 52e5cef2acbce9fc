"""Everything that touches files, codecs and containers; the only package that imports av."""

from subpixel.video.filters import FieldOrder, rescale
from subpixel.video.interlace import field_order
from subpixel.video.mux import Assembly, Keep, assemble, check_holds, container_of
from subpixel.video.pictures import write_images, write_pipe
from subpixel.video.probe import Chapter, MasteringDisplay, MediaInfo, StreamInfo, VideoInfo, probe
from subpixel.video.read import read
from subpixel.video.verify import verify
from subpixel.video.write import Encoding, Writer, writing

__all__ = [
    "Assembly",
    "Chapter",
    "Encoding",
    "FieldOrder",
    "Keep",
    "MasteringDisplay",
    "MediaInfo",
    "StreamInfo",
    "VideoInfo",
    "Writer",
    "assemble",
    "check_holds",
    "container_of",
    "field_order",
    "probe",
    "read",
    "rescale",
    "verify",
    "write_images",
    "write_pipe",
    "writing",
]
