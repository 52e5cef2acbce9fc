"""make demo: restore the sample clip, score it against its original, leave both to be looked at."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

import subpixel
from subpixel.metrics import Tally

HERE = Path(__file__).parent.relative_to(Path.cwd())
LOW, ORIGINAL, OUT = HERE / "bunny.mp4", HERE / "bunny-original.webm", Path("demo")
METHODS = {"fast": "restored", "lanczos": "Lanczos", "bicubic": "bicubic"}


def run(*arguments: object) -> None:
    """Run a subpixel command as a user would, showing it first."""
    words = [str(argument) for argument in arguments]
    print("$ subpixel", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "subpixel", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def score(file: Path) -> Tally:
    """Sums over all frames."""
    return subpixel.score(file, ORIGINAL, with_ssim=False).pooled.total


def main() -> None:
    """The three files, the table, the page."""
    OUT.mkdir(exist_ok=True)
    files = {model: OUT / f"{name.lower()}.mp4" for model, name in METHODS.items()}
    for model, file in files.items():
        run("upscale", LOW, "-o", file, "--model", model, "-y")
    console = Console()
    with console.status("scoring against the original"), ThreadPoolExecutor() as pool:
        scores = dict(zip(files, pool.map(score, files.values()), strict=True))
    table = Table(
        "method", "RGB PSNR (dB)", "Y PSNR (dB)", "above Lanczos (dB)", title=f"{LOW.name}, 320x180 -> 1280x720"
    )
    for model, total in scores.items():
        gain = total.rgb.psnr - scores["lanczos"].rgb.psnr
        table.add_row(METHODS[model], f"{total.rgb.psnr:.2f}", f"{total.luma.psnr:.2f}", f"{gain:+.2f}")
    run("compare", files["fast"], files["lanczos"], LOW, ORIGINAL, "-o", OUT / "compare.html", "-y")
    console.print(table)
    console.print(f"restored film: {files['fast']}\ncomparison:    {OUT / 'compare.html'}", highlight=False)


if __name__ == "__main__":
    main()
