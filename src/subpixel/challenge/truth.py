"""The originals of the test clips as plain samples: nothing to decode, so that the scorer parses no format at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from subpixel.challenge.manifest import Clip, Manifest
from subpixel.errors import UsageError

NAME = "truth.json"


@dataclasses.dataclass(frozen=True)
class Truth:
    """A folder with `<clip>.rgb` for each clip: 8-bit RGB, row after row, frame after frame.

    version: SHA-256 of the file that lists their hashes; scores of different versions do not compare.
    """

    folder: Path
    version: str

    @classmethod
    def open(cls, folder: str | Path, manifest: Manifest) -> Truth:
        """The truth of the clips of a manifest; raises UsageError unless each is there and as large as it must be."""
        folder = Path(folder)
        try:
            listing = (folder / NAME).read_bytes()
            sizes = {clip.name: (folder / f"{clip.name}.rgb").stat().st_size for clip in manifest.clips}
        except OSError as error:
            raise UsageError(
                f"{folder} does not hold the truth of these clips: {error.filename}: {error.strerror}."
            ) from error
        for clip in manifest.clips:
            if sizes[clip.name] != clip.frames * clip.picture_bytes:
                raise UsageError(
                    f"{folder}/{clip.name}.rgb has {sizes[clip.name]} bytes; {clip.frames} frames of {clip.size} "
                    f"have {clip.frames * clip.picture_bytes}."
                )
        return cls(folder, hashlib.sha256(listing).hexdigest())

    def pictures(self, clip: Clip) -> Iterator[memoryview]:
        """The samples of each frame; each is overwritten by the next. Raises UsageError if they end early."""
        samples = bytearray(clip.picture_bytes)
        with (self.folder / f"{clip.name}.rgb").open("rb", buffering=0) as file:
            for _ in range(clip.frames):
                if file.readinto(samples) != len(samples):
                    raise UsageError(f"{file.name} ends before its clip does; make the data set anew.")
                yield memoryview(samples)


def write_listing(folder: Path, hashes: dict[str, str]) -> None:
    """Write the list that makes a folder of samples a truth; hashes: SHA-256 by clip."""
    (folder / NAME).write_text(json.dumps(hashes, indent=2, sort_keys=True) + "\n", encoding="utf-8")
