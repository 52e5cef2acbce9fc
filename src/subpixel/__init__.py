"""subpixel restores compressed, low-resolution video.

    import subpixel
    report = subpixel.upscale("clip.mp4", "restored.mkv")
    print(report)

The public names are loaded on first use, so that the command's help waits for no codec and no network.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subpixel.arrays import restore
    from subpixel.degrade import Recipe, degrade
    from subpixel.errors import SubpixelError
    from subpixel.frames import Color, Frame
    from subpixel.job import upscale
    from subpixel.metrics import Score, score
    from subpixel.outcome import Progress, Report
    from subpixel.video import Encoding, Keep

    __version__: str

__all__ = [
    "Color",
    "Encoding",
    "Frame",
    "Keep",
    "Progress",
    "Recipe",
    "Report",
    "Score",
    "SubpixelError",
    "__version__",
    "degrade",
    "restore",
    "score",
    "upscale",
]

_HOME = {
    "Color": "frames",
    "Encoding": "video",
    "Frame": "frames",
    "Keep": "video",
    "Progress": "outcome",
    "Recipe": "degrade",
    "Report": "outcome",
    "Score": "metrics",
    "SubpixelError": "errors",
    "degrade": "degrade",
    "restore": "arrays",
    "score": "metrics",
    "upscale": "job",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        metadata = importlib.import_module("importlib.metadata")  # slow to load, and the help needs none of it
        return metadata.version("subpixel")
    if name not in _HOME:
        raise AttributeError(f"module 'subpixel' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"subpixel.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(types.ModuleType):
    """The functions `restore` and `degrade` keep their names although modules of the same name get imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
