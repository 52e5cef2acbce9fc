"""How fast a hand-in is judged and in how much memory: CPU time of `subpixel challenge`, its decoders included.

    python bench/challenge.py [--size 1920x1080] [--clips 2] [--frames 30,90] [--forms png,h264,ffv1]

Synthetic clips: a photograph enlarged, moving, with a little noise; PNG files as `subpixel upscale` writes them. Each
form is judged with every number of frames a clip; the peak is that of the largest process. A contest of 10 clips x 700
frames of 1080p takes 32 GB of disk while it is judged.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage import data

import speed
from subpixel import color, resample
from subpixel.challenge import rules, truth
from subpixel.challenge.manifest import NAME, Clip, Manifest
from subpixel.frames import Frame
from subpixel.video import Encoding, Writer
from subpixel.video.image import encode_image

Picture = npt.NDArray[np.uint8]
DISTINCT = 4
PHOTOS = (data.coffee, data.astronaut, data.rocket)


def pictures(width: int, height: int, count: int, seed: int) -> list[Picture]:
    """A slow pan over a photograph, with noise of one level."""
    random = np.random.default_rng(seed)
    photo = PHOTOS[seed]()
    wide, high = width + 200, height + 100
    planes = [resample.resize(np.ascontiguousarray(photo[:, :, c]), wide, high) for c in range(3)]
    large = np.stack(planes, axis=-1).astype(np.int16)
    noise = np.rint(random.normal(0, 1, (height, width, 3))).astype(np.int16)
    parts = (large[y : y + height, 2 * y : 2 * y + width] + np.roll(noise, 17 * y, axis=1) for y in range(count))
    return [np.clip(part, 0, 255).astype(np.uint8) for part in parts]


def restored(sharp: Picture) -> Picture:
    """What an answer might be: a little softer than the truth."""
    soft = sharp.astype(np.uint16)
    soft[:, 1:] += soft[:, :-1]
    soft[:, 1:] //= 2
    return soft.astype(np.uint8)


def make(folder: Path, form: str, size: tuple[int, int], clips: int, frames: int) -> None:
    """A contest of that many clips and a hand-in of that form; a few pictures over and over, as making them is slow."""
    (folder / "truth").mkdir(parents=True)
    names = [f"{90 + number}" for number in range(clips)]
    with tarfile.open(folder / "answer.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, name in enumerate(names):
            sharp = pictures(*size, DISTINCT, number % len(PHOTOS))
            original = folder / "truth" / f"{name}.rgb"
            if number >= len(PHOTOS):
                original.hardlink_to(folder / "truth" / f"{names[number % len(PHOTOS)]}.rgb")
            else:
                with original.open("wb") as samples:
                    for picture in islice(cycle(sharp), frames):
                        samples.write(picture.data)
            answers = [restored(picture) for picture in sharp]
            if form == "png":
                files = [encode_image(answer) for answer in answers]
                for number, file in enumerate(islice(cycle(files), frames), 1):
                    add(tar, f"{name}/{number:04d}.png", file)
            else:
                tar.add(film(folder / f"{name}.mkv", form, answers, frames), f"{name}.mkv")
    truth.write_listing(folder / "truth", dict.fromkeys(names, "0" * 64))
    common = {"frames": frames, "width": size[0], "height": size[1], "sha256": "0" * 64}
    asked = [Clip(name=name, file=f"{name}.mp4", **common) for name in names]
    (folder / NAME).write_text(Manifest(round="preliminary", clips=tuple(asked)).text())
    (folder / "rules.toml").write_text(rules.read_text())


def film(path: Path, form: str, answers: list[Picture], frames: int) -> Path:
    """An answer as a video."""
    shown = [yuv(answer) for answer in answers]
    with Writer(path, Encoding(form, crf=10 if form == "h264" else None)) as writer:
        for frame in islice(cycle(shown), frames):
            writer.write(frame)
    return path


def yuv(rgb: Picture) -> Frame:
    """8-bit 4:2:0, which is how films are mostly handed in."""
    full = color.to_yuv(color.from_rgb(rgb))
    planes = [np.minimum((plane + 2) >> 2, 255).astype(np.uint8) for plane in full.planes]
    planes[1:] = [np.ascontiguousarray(plane[::2, ::2]) for plane in planes[1:]]
    return Frame(tuple(planes), "yuv420p", color=full.color)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, BytesIO(content))


def judged(folder: Path, command: str) -> tuple[float, float]:
    """CPU seconds and peak megabytes of `validate` or `score`."""
    words = [speed.SUBPIXEL, "challenge", command, str(folder / "answer.tar"), "--data", str(folder)]
    words += ["--truth", str(folder / "truth")] if command == "score" else []
    run = [sys.executable, "-c", speed.LAUNCH, *words]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    _, cpu, megabytes = json.loads(done.stderr.splitlines()[-1])
    return cpu, megabytes


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", default="1920x1080")
    options.add_argument("--clips", type=int, default=2)
    options.add_argument("--frames", default="30,90", help="of a clip, for each run")
    options.add_argument("--forms", default="png,h264,ffv1")
    given = options.parse_args()
    width, height = map(int, given.size.split("x"))
    print("| form | frames | MB in the tar | command | CPU frames/s | CPU ms a further frame | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for form in given.forms.split(","):
        before: dict[str, tuple[int, float]] = {}
        for frames in map(int, given.frames.split(",")):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / "contest"
                make(folder, form, (width, height), given.clips, frames)
                size, total = (folder / "answer.tar").stat().st_size / 1e6, given.clips * frames
                for command in ("validate", "score"):
                    cpu, megabytes = judged(folder, command)
                    fewer, less = before.get(command, (total, cpu))
                    more = f"{1000 * (cpu - less) / (total - fewer):.1f}" if total > fewer else ""
                    before[command] = total, cpu
                    row = (
                        f"| {form} | {total} | {size:.0f} | {command} | {total / cpu:.1f} | {more} | {megabytes:.0f} |"
                    )
                    print(row, flush=True)


if __name__ == "__main__":
    main()
