"""How well subpixel and its peers restore: the validation protocol, from files to one table.

    python bench/quality.py FOLDER [--frames 48] [--peers FOLDER] [--models fast,lanczos,bicubic] [--out bench/results]

Every clip of FOLDER is taken twice: as it is, and shrunk to half by area; both cropped to multiples of 16. Each is
degraded by the challenge's command (quarter size, x264 slow, crf 21), restored to a file by every method with the
same encoder settings (--codec, --crf), and scored against the reference by the pinned metric: RGB PSNR from one sum
of squared errors over all samples of all clips. --frames takes that many from the middle of each clip, for all
methods alike; 0 takes all. OpenCV's networks enlarge luma with bicubic chroma, as they are meant to be used.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import clips
import peers
from subpixel import metrics, video
from subpixel.job import upscale

Table = dict[str, list[metrics.Clip]]  # method -> one entry per clip, in the same order


@dataclasses.dataclass(frozen=True)
class Methods:
    """What is compared: subpixel's models by name, peers by name with their folder, one encoder for all."""

    models: list[str]
    peers: list[str]
    folder: Path | None
    encoding: video.Encoding

    def restore(self, method: str, low: Path, out: Path) -> None:
        """Write `low`, four times as large, to `out` by one method."""
        if method in self.models:
            upscale(low, out, model=method, encoding=self.encoding, overwrite=True)
        elif self.folder:
            peers.restore(self.folder, method, low, out, encoding=self.encoding)


def pairs(folder: Path, frames: int, work: Path) -> list[clips.Pair]:
    """All clips of a folder, each as it is and halved."""
    made = []
    for source in sorted(p for p in folder.iterdir() if p.suffix in {".mp4", ".webm", ".mkv", ".mov"}):
        rate = video.probe(source).video.rate
        for half in (False, True):
            name = f"{source.stem} {'half' if half else 'full'}"
            picked = (clips.validation_frame(f, half) for f in clips.middle(source, frames))
            made.append(clips.make_pair(name, picked, rate, work))
            print(f"{name}: {made[-1].frames} frames degraded", flush=True)
    return made


def measure(pair: clips.Pair, methods: Methods, work: Path, table: Table) -> None:
    """Restore and score one pair by every method."""
    for method in [*methods.models, *methods.peers]:
        out = work / "restored.mkv"
        start = time.perf_counter()
        methods.restore(method, pair.low, out)
        seconds = time.perf_counter() - start
        clip = dataclasses.replace(metrics.score(out, pair.reference).pooled, name=pair.name)
        out.unlink()
        table.setdefault(method, []).append(clip)
        print(f"{pair.name}  {method:12} {clip.total.rgb.psnr:.3f} dB  {seconds:.1f} s", flush=True)


def pooled(entries: list[metrics.Clip]) -> metrics.Clip:
    """One entry for all clips."""
    return sum(entries, metrics.Clip("pooled"))


def markdown(table: Table, command: str) -> str:
    """The pool, then clip by clip; differences are to Lanczos where that was measured."""
    base = pooled(table["lanczos"]).total.rgb.psnr if "lanczos" in table else None
    lines = [f"`{command}`", "", "| method | RGB PSNR | above Lanczos | Y PSNR | SSIM (Y) |", "|---|---|---|---|---|"]
    for method, entries in table.items():
        t = pooled(entries).total
        gain = "" if base is None else f"{t.rgb.psnr - base:+.3f}"
        lines.append(f"| {method} | {t.rgb.psnr:.3f} | {gain} | {t.luma.psnr:.3f} | {t.mean_ssim:.4f} |")
    lines += ["", "| clip | " + " | ".join(table) + " |", "|---" * (len(table) + 1) + "|"]
    for row in zip(*table.values(), strict=True):
        lines.append(f"| {row[0].name} | " + " | ".join(f"{c.total.rgb.psnr:.2f}" for c in row) + " |")
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    """The command line, parsed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--frames", type=int, default=48)
    options.add_argument("--models", default="fast,lanczos,bicubic")
    options.add_argument("--peers", type=Path, help="folder of their published files, see bench/peers.py")
    options.add_argument("--peer-names", default=",".join(peers.NAMES))
    options.add_argument("--codec", default="h264")
    options.add_argument("--crf", type=float)
    options.add_argument("--out", type=Path, default=Path("bench/results"))
    return options.parse_args()


def main() -> None:
    """Command line of this file."""
    given = arguments()
    encoding = video.Encoding(codec=given.codec, crf=given.crf)
    names = given.peer_names.split(",") if given.peers else []
    methods = Methods(given.models.split(","), names, given.peers, encoding)
    table: Table = {}
    with tempfile.TemporaryDirectory() as work:
        made = pairs(given.folder, given.frames, Path(work))
        for pair in made:
            measure(pair, methods, Path(work), table)
    command = f"python bench/quality.py FOLDER --frames {given.frames} --codec {given.codec}"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "quality.md").write_text(markdown(table, command))
    scores = {m: [pooled(entries).as_dict(), *(c.as_dict() for c in entries)] for m, entries in table.items()}
    (given.out / "quality.json").write_text(json.dumps({"command": command, "methods": scores}, indent=1))
    print("\n" + markdown(table, command))


if __name__ == "__main__":
    main()
