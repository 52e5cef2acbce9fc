"""Degrading: sharp clips made small and compressed, by default with the contest's command

    ffmpeg -i IN -vf scale=iw/4:ih/4 -c:v libx264 -preset slow -crf 21 OUT

`degrade` writes files, `degrade_frames` stays in memory, `shrink` stops before the codec.
"""

from subpixel.degrade.clips import Clip, Report, degrade
from subpixel.degrade.pictures import degrade_frames, fitted, shrink
from subpixel.degrade.recipe import Recipe

__all__ = ["Clip", "Recipe", "Report", "degrade", "degrade_frames", "fitted", "shrink"]
