"""PlanetarySystemStacker (Rolf Hempel, GPL-3) without its windows: one recording to one stack.

    PYTHON bench/pss.py FILM surface|planet PERCENT Off|2x OUT.npy

PYTHON is an interpreter of its own that has the package, which pins libraries of another age:

    python -m venv pss
    pss/bin/pip install matplotlib psutil scipy scikit-image astropy opencv-python-headless
    pss/bin/pip install --no-deps --ignore-requires-python planetary-system-stacker

Qt is only asked for signals nobody listens to, so a few empty classes stand in for it. Prints the CPU seconds.
"""

import importlib.util
import sys
import time
import types
from pathlib import Path


class _Signal:
    def emit(self, *_: object) -> None:
        pass

    def connect(self, *_: object) -> None:
        pass


def _without_windows() -> None:
    core = types.ModuleType("PyQt5.QtCore")
    core.QObject = core.QThread = type("QObject", (), {})
    core.pyqtSignal = lambda *_, **__: _Signal()
    core.pyqtSlot = lambda *_, **__: lambda function: function
    package = types.ModuleType("PyQt5")
    package.QtCore = core
    sys.modules |= {"PyQt5": package, "PyQt5.QtCore": core}
    found = importlib.util.find_spec("planetary_system_stacker")
    if found is None or found.origin is None:
        sys.exit("This interpreter has no planetary-system-stacker; see the head of bench/pss.py.")
    sys.path.insert(0, str(Path(found.origin).parent))


def stack(film: str, mode: str, percent: int, drizzle: str) -> "object":
    """What the program does in batch mode with its defaults, but for the share of frames and drizzle."""
    from align_frames import AlignFrames
    from alignment_points import AlignmentPoints
    from configuration import Configuration
    from frames import Frames
    from rank_frames import RankFrames
    from stack_frames import StackFrames
    from timer import timer

    settings = Configuration()
    settings.initialize_configuration()
    settings.align_frames_mode = mode.capitalize()
    settings.alignment_points_frame_percent, settings.alignment_points_frame_number = percent, -1
    settings.stack_frames_drizzle_factor_string = drizzle
    settings.set_derived_parameters()
    clock = timer()
    frames = Frames(settings, film, type="video", bayer_option_selected="Auto detect color")
    frames.set_buffering(2)
    ranks = RankFrames(frames, settings)
    ranks.frame_score()
    aligned = AlignFrames(frames, ranks, settings)
    if mode == "surface":
        aligned.compute_alignment_rect(settings.align_frames_rectangle_scale_factor)
        for patch in range(len(aligned.alignment_rect_qualities)):
            aligned.select_alignment_rect(patch)
            try:
                aligned.align_frames()
                break
            except Exception as error:
                print(f"patch {patch}: {error}", file=sys.stderr)
    else:
        aligned.align_frames()
    aligned.average_frame()
    aligned.set_roi(0, 0, 0, 0)
    points = AlignmentPoints(settings, frames, ranks, aligned)
    points.create_ap_grid()
    points.compute_frame_qualities()
    stacked = StackFrames(settings, frames, ranks, aligned, points, clock)
    stacked.stack_frames()
    stacked.merge_alignment_point_buffers()
    return stacked.stacked_image


if __name__ == "__main__":
    _without_windows()
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    film, mode, percent, drizzle, out = sys.argv[1:]
    before = time.process_time()
    picture = stack(film, mode, int(percent), drizzle)
    print(time.process_time() - before)
    np.save(out, np.asarray(picture))
