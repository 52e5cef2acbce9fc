"""How fast a hand-in is judged and in how much memory: CPU time of `subpixel challenge`, its decoders included.

    python bench/challenge.py [--size 1920x1080] [--clips 2] [--frames 30] [--forms png,h264,ffv1]

Synthetic clips: a photograph enlarged, moving, with a little noise; PNG files as `subpixel upscale` writes them. Each
form is judged with --frames a clip and with three times as many; the peak is that of the largest process.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import speed
from skimage import data

from subpixel import color, resample
from subpixel.challenge import rules, truth
from subpixel.challenge.manifest import NAME, Clip, Manifest
from subpixel.frames import Frame
from subpixel.video import Encoding, Writer
from subpixel.video.image import encode_image

Picture = npt.NDArray[np.uint8]


def pictures(width: int, height: int, count: int, seed: int) -> Iterator[Picture]:
    """A slow pan over a photograph, with noise of one level."""
    random = np.random.default_rng(seed)
    photo = (data.coffee, data.astronaut, data.rocket)[seed % 3]()
    wide, high = width + 200, height + 100
    planes = [resample.resize(np.ascontiguousarray(photo[:, :, c]), wide, high) for c in range(3)]
    large = np.stack(planes, axis=-1).astype(np.int16)
    noise = np.rint(random.normal(0, 1, (height, width, 3))).astype(np.int16)
    for number in range(count):
        y, x = number % 100, 2 * number % 200
        part = large[y : y + height, x : x + width]
        yield np.clip(part + np.roll(noise, 17 * number, axis=1), 0, 255).astype(np.uint8)


def restored(sharp: Picture) -> Picture:
    """What an answer might be: a little softer than the truth."""
    soft = sharp.astype(np.uint16)
    soft[:, 1:] += soft[:, :-1]
    soft[:, 1:] //= 2
    return soft.astype(np.uint8)


def make(folder: Path, form: str, size: tuple[int, int], clips: int, frames: int) -> None:
    """A contest of that many clips and a hand-in of that form."""
    (folder / "truth").mkdir(parents=True)
    names = [f"{90 + number}" for number in range(clips)]
    with tarfile.open(folder / "answer.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for seed, name in enumerate(names):
            film = folder / f"{name}.mkv"
            writer = None if form == "png" else Writer(film, Encoding(form, crf=10 if form == "h264" else None))
            with (folder / "truth" / f"{name}.rgb").open("wb") as samples:
                for number, sharp in enumerate(pictures(*size, frames, seed), 1):
                    samples.write(sharp.data)
                    answer = restored(sharp)
                    if writer is None:
                        add(tar, f"{name}/{number:04d}.png", encode_image(answer))
                    else:
                        writer.write(yuv(answer))
            if writer is not None:
                writer.close()
                tar.add(film, film.name)
    truth.write_listing(folder / "truth", dict.fromkeys(names, "0" * 64))
    listed = [
        Clip(name=name, frames=frames, width=size[0], height=size[1], file=f"{name}.mp4", sha256="0" * 64)
        for name in names
    ]
    (folder / NAME).write_text(Manifest(round="preliminary", clips=tuple(listed)).text())
    (folder / "rules.toml").write_text(rules.read_text())


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
    options.add_argument("--frames", type=int, default=30, help="of a clip; three times as many for the second run")
    options.add_argument("--forms", default="png,h264,ffv1")
    given = options.parse_args()
    width, height = map(int, given.size.split("x"))
    print("| form | frames | MB in the tar | command | CPU frames/s | CPU ms a further frame | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for form in given.forms.split(","):
        before: dict[str, float] = {}
        for frames in (given.frames, 3 * given.frames):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / "contest"
                make(folder, form, (width, height), given.clips, frames)
                size, total = (folder / "answer.tar").stat().st_size / 1e6, given.clips * frames
                for command in ("validate", "score"):
                    cpu, megabytes = judged(folder, command)
                    more = f"{1000 * (cpu - before[command]) / (total * 2 / 3):.1f}" if command in before else ""
                    before[command] = cpu
                    row = (
                        f"| {form} | {total} | {size:.0f} | {command} | {total / cpu:.1f} | {more} | {megabytes:.0f} |"
                    )
                    print(row, flush=True)


if __name__ == "__main__":
    main()
