"""How close restored frames are to their reference: exact sums first, decibels last.

The pinned metric is psnr = 10 log10(255^2 n / sse), where sse and n are exact integers over every 8-bit RGB sample
of every frame of every clip (`color.to_rgb`). Everything else here is a companion of that one number:

    luma         PSNR of Y, rounded to 8 bits: of the decoded planes where both inputs are YUV of the same range,
                 otherwise BT.601 full-range Y of the two RGB pictures ("luma_from" says which)
    ssim         of the same Y: Wang et al., "Image quality assessment: from error visibility to structural
                 similarity", 2004; 11x11 Gaussian window of sigma 1.5, population covariance, borders of 5 left out
    temporal     mean squared error of the differences between successive frames of that Y (flicker, ghosts)
    tof          distance between the optical flows of both (extra `multiframe`), see `tof`; not part of a Score
    consistency  RMS in code values between the restored Y, shrunk bicubically, and the Y of the input it came from

Nothing grows with the length of the clip.
"""

from subpixel.metrics.arrays import SquaredError, psnr, ssim
from subpixel.metrics.clips import Clip, Score, alignment, score
from subpixel.metrics.flow import tof
from subpixel.metrics.tally import FrameCountError, Tally, consistency, finite, frame_tally, in_step, tallies

__all__ = [
    "Clip",
    "FrameCountError",
    "Score",
    "SquaredError",
    "Tally",
    "alignment",
    "consistency",
    "finite",
    "frame_tally",
    "in_step",
    "psnr",
    "score",
    "ssim",
    "tallies",
    "tof",
]
