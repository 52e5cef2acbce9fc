"""subpixel doctor"""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from subpixel.cli import options as o
from subpixel.errors import SubpixelError

if TYPE_CHECKING:
    from subpixel.frames import Frame

SCHEMA_VERSION = 1
PACKAGES = ("subpixel", "numpy", "av", "onnxruntime", "openvino", "torch", "spandrel", "typer", "rich")
CODECS = ("h264", "hevc", "av1", "ffv1")
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd")


def doctor(as_json: o.Json = False) -> None:
    """Check this installation.

    Versions, processor, disk, and a real frame through every engine and encoder. What it prints belongs in a bug
    report. Ends with exit code 1 if something does not work.
    """
    facts = {"system": _system(), "versions": _versions(), "checks": _checks()}
    broken = [name for name, result in facts["checks"].items() if result != "works"]
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, **facts, "broken": broken}))
    else:
        for title, rows in facts.items():
            print(title)
            print("\n".join(f"  {name:<24} {value}" for name, value in rows.items()))
    if broken:
        raise SubpixelError(f"This does not work: {', '.join(broken)}; install subpixel again or report it.")


def _system() -> dict[str, str]:
    from subpixel import engines

    free = {
        place: shutil.disk_usage(path).free for place, path in (("here", "."), ("temporary", tempfile.gettempdir()))
    }
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": f"{os.cpu_count()} cores, {' '.join(_flags())}",
        "networks are run by": str(engines.choose()),
        **{f"free disk, {place}": f"{size / 1e9:.1f} GB" for place, size in free.items()},
    }


def _flags() -> list[str]:
    """Kind of processor, and those of its instruction sets that matter to speed where the system tells them."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        words = set()
    return [platform.machine(), *(flag for flag in FLAGS if flag in words)]


def _versions() -> dict[str, str]:
    from subpixel.video.build import versions

    return {package: _version(package) for package in PACKAGES} | versions()


def _version(package: str) -> str:
    from importlib import metadata  # slow to load, and the help needs none of it

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _checks() -> dict[str, str]:
    """For each part that a job needs: "works", or what is wrong with it."""
    from subpixel import engines, upsample, weights

    found = {f"method {name}": _outcome(partial(_restore_one, name, 4, "auto")) for name in upsample.METHODS}
    for network in weights.shipped():
        for engine in engines.available():
            check = partial(_restore_one, network.name, network.scale, engine)
            found[f"{network.name} x{network.scale}, {engine}"] = _outcome(check)
    return found | {f"encoder {codec}": _outcome(partial(_encode_one, codec)) for codec in CODECS}


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as error:
        return f"FAILS, {type(error).__name__}: {error}"
    return "works"


def _grey() -> "Frame":
    """A flat frame: whatever is done to it, the middle must stay grey."""
    import numpy as np

    from subpixel.frames import Frame

    return Frame(tuple(np.full(shape, 128, np.uint8) for shape in ((64, 64), (32, 32), (32, 32))))


def _check_grey(frame: "Frame", width: int, height: int) -> None:
    middle = int(frame.planes[0][height // 2, width // 2])
    if (frame.width, frame.height) != (width, height) or abs(middle - 128) > 4:
        raise SubpixelError(f"a grey frame came out as {frame.width}x{frame.height} with luma {middle}")


def _restore_one(model: str, scale: int, engine: str) -> None:
    from subpixel.restore import restore

    (restored,) = restore([_grey()], model=model, scale=scale, engine=engine)
    _check_grey(restored, 64 * scale, 64 * scale)


def _encode_one(codec: str) -> None:
    from subpixel.video import Encoding, Writer, read

    with tempfile.TemporaryDirectory(prefix="subpixel-") as folder:
        path = Path(folder) / "frame.mkv"
        with Writer(path, Encoding(codec)) as writer:
            writer.write(_grey())
        (frame,) = read(path)
    _check_grey(frame, 64, 64)
