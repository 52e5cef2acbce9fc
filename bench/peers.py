"""Other people's networks behind the one interface of this bench: a Frame in, a Frame four times as large out.

    python bench/peers.py FOLDER NAME IN OUT [--frames N]

restores IN by the network NAME and writes it with subpixel's own default encoder, so that files and
times compare. FOLDER holds what their authors publish:
    FSRCNN_x4.pb    github.com/Saafke/FSRCNN_Tensorflow   models/
    ESPCN_x4.pb     github.com/fannymonori/TF-ESPCN       export/
    LapSRN_x4.pb    github.com/fannymonori/TF-LapSRN      export/
    realesr-animevideov3/realesr-animevideov3-x4.{param,bin}   github.com/k4yt3x/video2x   models/realesrgan/
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

import clips
from subpixel import color, upsample, video
from subpixel.frames import FULL, Color, Frame

Peer = Callable[[Frame], Frame]

OPENCV = {"FSRCNN": "fsrcnn", "ESPCN": "espcn", "LapSRN": "lapsrn"}
NAMES = [*OPENCV, "realesr"]
SLOW = {"LapSRN", "realesr"}  # a second and more for each frame on two cores


def opencv(folder: Path, name: str, threads: int = 0) -> Peer:
    """OpenCV's dnn_superres: the network enlarges luma, bicubic the chroma, as its authors intend."""
    import cv2

    if threads:
        cv2.setNumThreads(threads)
    network = cv2.dnn_superres.DnnSuperResImpl_create()
    network.readModel(str(folder / f"{name}_x4.pb"))
    network.setModel(OPENCV[name], 4)

    def run(frame: Frame) -> Frame:
        large = upsample.bicubic(frame, 4)
        return large.replace(planes=(network.upsample(frame.planes[0]), *large.planes[1:]))

    return run


def realesr(folder: Path, threads: int = 0) -> Peer:
    """Real-ESRGAN's small video network in ncnn on the CPU: RGB in, RGB out."""
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    if threads:
        network.opt.num_threads = threads
    stem = str(folder / "realesr-animevideov3" / "realesr-animevideov3-x4")
    network.load_param(stem + ".param")
    network.load_model(stem + ".bin")

    def run(frame: Frame) -> Frame:
        rgb = np.ascontiguousarray(color.to_rgb(frame).astype(np.float32).transpose(2, 0, 1) / 255)
        extractor = network.create_extractor()
        extractor.input("data", ncnn.Mat(rgb))  # borrows the array's memory
        _, large = extractor.extract("output")
        picture = np.rint(np.array(large).transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)
        planes = tuple(np.ascontiguousarray(picture[..., i]) for i in (1, 2, 0))
        return frame.replace(planes=planes, format="gbrp", color=Color(matrix=0, range=FULL), qp=None, motion=None)

    return run


def load(folder: Path, name: str, threads: int = 0) -> Peer:
    """The network of that name from the folder of published files; SystemExit where there is none."""
    if name not in NAMES:
        raise SystemExit(f"No peer is called {name!r}; there are {', '.join(NAMES)}.")
    return realesr(folder, threads) if name == "realesr" else opencv(folder, name, threads)


def restore(
    folder: Path, name: str, low: Path, out: Path, *, frames: int = 0, encoding: video.Encoding = video.Encoding()
) -> int:
    """Restore a file by a peer and write it as subpixel would; returns the number of frames done (0: all)."""
    run = load(folder, name)
    large = (run(frame) for frame in itertools.islice(video.read(low), frames or None))
    return clips.write(large, out, video.probe(low).video.rate, encoding)


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("folder", "name", "low", "out"):
        options.add_argument(argument, type=str if argument == "name" else Path)
    options.add_argument("--frames", type=int, default=0, help="only so many; 0 for all")
    given = options.parse_args()
    print(restore(given.folder, given.name, given.low, given.out, frames=given.frames), "frames")


if __name__ == "__main__":
    main()
