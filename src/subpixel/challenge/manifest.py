"""Manifest: which clips are to be restored, and what the answer to each looks like."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Self

from subpixel.challenge.tables import filled, reason
from subpixel.errors import UsageError

NAME = "manifest.json"
SCHEMA_VERSION = 1
_CLIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_MOST_FRAMES = 1_000_000
_LARGEST_SIDE = 16384


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One test clip: its name; frames, width and height of the answer; the low-resolution file and its SHA-256."""

    name: str
    frames: int
    width: int
    height: int
    file: str
    sha256: str

    def __post_init__(self) -> None:
        if not _CLIP.fullmatch(self.name):
            raise UsageError(f"A clip is named by 1 to 32 letters, digits, - and _, not {self.name!r}.")
        if not 1 <= self.frames <= _MOST_FRAMES:
            raise UsageError(f"Clip {self.name} must have 1 to {_MOST_FRAMES} frames, not {self.frames}.")
        if not (1 <= self.width <= _LARGEST_SIDE and 1 <= self.height <= _LARGEST_SIDE):
            raise UsageError(f"Clip {self.name} must have sides of 1 to {_LARGEST_SIDE}, not {self.size}.")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise UsageError(f"Clip {self.name} needs a SHA-256 of 64 hexadecimal digits, not {self.sha256!r}.")

    @property
    def size(self) -> str:
        """Such as 1920x1080."""
        return f"{self.width}x{self.height}"

    @property
    def picture_bytes(self) -> int:
        """Of one frame as 8-bit RGB."""
        return 3 * self.width * self.height


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one round asks for. round: its name in the rules; clips: in the order of their names."""

    round: str
    clips: tuple[Clip, ...]
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise UsageError(f"schema_version {self.schema_version} is not known here, only {SCHEMA_VERSION}.")
        names = [clip.name.casefold() for clip in self.clips]
        if not names or len(set(names)) < len(names):
            raise UsageError("clips must be a list of at least one, no two of whose names differ only in case.")
        if sum(clip.frames for clip in self.clips) > _MOST_FRAMES:
            raise UsageError(f"All clips together may have {_MOST_FRAMES} frames.")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The manifest of a JSON file, or of the folder it lies in. Raises UsageError for anything else."""
        file = Path(path) / NAME if Path(path).is_dir() else Path(path)
        try:
            table = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"The manifest {str(file)!r} cannot be read: {reason(error)}.") from error
        return filled(cls, table, f"Manifest {str(file)!r}")

    def text(self) -> str:
        """As JSON, which `load` reads back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"
