"""Recipe: how a clip is degraded, as a frozen dataclass that a TOML file, flags or Python fill."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self

from subpixel.errors import UsageError
from subpixel.video.write import Encoding

KERNELS = ("bicubic", "bilinear", "area", "lanczos", "neighbor")  # swscale's names
_X264 = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_RATES = ("crf", "qp", "bitrate")


@dataclasses.dataclass(frozen=True)
class _Codec:
    """What `Encoding` calls a codec, and what its encoder takes."""

    name: str
    crf: float
    preset: str
    presets: tuple[str, ...]
    lowest: int
    highest: int
    options: tuple[tuple[str, str], ...] = ()


# x265 as FFmpeg starts it; SVT-AV1 with one thread, for with more its bit rate control gives other frames each time.
CODECS = {
    "x264": _Codec("h264", 21, "slow", _X264, 0, 51),
    "x265": _Codec("hevc", 24, "slow", _X264, 0, 51, (("x265-params", "open-gop=1"),)),
    "svtav1": _Codec("av1", 32, "5", tuple(map(str, range(14))), 1, 63, (("svtav1-params", "lp=1"),)),
    "vp9": _Codec("vp9", 32, "2", tuple(map(str, range(9))), 0, 63),
}
_NONE = "none"  # no codec: the small frames as they are, stored without loss


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a clip is degraded; the defaults are the contest's command.

    scale: how many times smaller, 1 to 16; kernel: swscale's bicubic (a = -0.6), bilinear, area, lanczos, neighbor.
    codec: x264, x265, svtav1, vp9 or none. One of crf (the codec's own scale), qp (constant quantiser) or
    bitrate (bits per second) says how much is lost; without any it is the codec's usual crf, 21 for x264.
    preset: the encoder's own, 0 to 13 for svtav1, 0 to 8 (cpu-used) for vp9; None for the codec's usual one.
    threads: of the encoder; None for three, fewer for low pictures, which is what ffmpeg takes on two cores:
    results do not depend on the machine, but they do depend on this number.
    noise, blur: standard deviations of Gaussian noise (8-bit code values) and of a Gaussian blur (pixels) that
    the sharp frames get before they are scaled; seed: of the noise.
    Raises UsageError for a value out of range.
    """

    scale: int = 4
    kernel: str = "bicubic"
    codec: str = "x264"
    crf: float | None = None
    qp: int | None = None
    bitrate: int | None = None
    preset: str | None = None
    threads: int | None = None
    noise: float = 0.0
    blur: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name))
        _one_of("kernel", self.kernel, KERNELS)
        _one_of("codec", self.codec, (*CODECS, _NONE))
        for name, (lowest, highest) in _RANGES.items():
            _check_range(name, getattr(self, name), lowest, highest)
        self._check_codec()
        for name in ("crf", "noise", "blur"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))

    def _check_codec(self) -> None:
        given = [name for name in _RATES if getattr(self, name) is not None]
        if self.codec == _NONE:
            if given or self.preset is not None:
                raise UsageError(f"Codec none loses nothing and takes no {(*given, 'preset')[0]}; leave it out.")
            return
        codec = CODECS[self.codec]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} exclude each other; give one of {', '.join(_RATES)}.")
        if not given:
            object.__setattr__(self, "crf", codec.crf)
        if self.preset is None:
            object.__setattr__(self, "preset", codec.preset)
        _one_of(f"preset of {self.codec}", self.preset, codec.presets)
        for name in ("crf", "qp"):
            _check_range(f"{name} of {self.codec}", getattr(self, name), codec.lowest, codec.highest)

    @classmethod
    def parse(cls, table: Mapping[str, Any], origin: str = "The recipe") -> Self:
        """A recipe from the table of a TOML or JSON file; `origin` names the file in messages.

        Raises UsageError for a key that is not a field, a value of another type or out of range.
        """
        allowed = [field.name for field in dataclasses.fields(cls)]
        for key in table:
            if key not in allowed:
                raise UsageError(f"{origin} has an unknown key {key!r}; the keys are {', '.join(allowed)}.")
        try:
            return cls(**table)
        except UsageError as error:
            raise UsageError(f"{origin}: {error}") from error

    @classmethod
    def load(cls, source: str | Path) -> Self:
        """The recipe of a TOML file, or one of those that come with the package by its name, such as "contest".

        Raises UsageError when there is none, or the file is not TOML or not a recipe.
        """
        path, shipped = Path(source), resources.files(__package__) / "recipes"
        names = sorted(entry.name.removesuffix(".toml") for entry in shipped.iterdir())
        if path.suffix != ".toml" and str(source) not in names:
            raise UsageError(f"There is no recipe {str(source)!r}; name a .toml file or one of {', '.join(names)}.")
        file = path if path.suffix == ".toml" else shipped / f"{source}.toml"
        try:
            return cls.parse(tomllib.loads(file.read_text(encoding="utf-8")), f"Recipe {str(source)!r}")
        except (OSError, ValueError) as error:
            raise UsageError(f"Recipe {str(source)!r} cannot be read: {error}.") from error

    def changed(self, **fields: Any) -> Self:
        """A copy with some fields changed. Another codec brings its own preset and rate; a rate replaces the others.

        Raises UsageError for a value out of range.
        """
        dropped: dict[str, None] = dict.fromkeys(_RATES) if {"codec", *_RATES} & fields.keys() else {}
        if "codec" in fields:
            dropped["preset"] = None
        return dataclasses.replace(self, **(dropped | fields))

    def as_dict(self) -> dict[str, Any]:
        """The fields that are set, as `parse` takes them."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    def encoding(self, height: int) -> Encoding:
        """The encoder's settings for small frames of a height; FFV1, without loss, where the codec is none."""
        if self.codec == _NONE:
            return Encoding("ffv1")
        codec = CODECS[self.codec]
        threads = self.threads or max(1, min(3, -(-height // 16) // 2))  # x264's own bound: two rows of blocks each
        extra = (*codec.options, *self._rate_options())
        if self.codec == "vp9":
            return Encoding("vp9", self.crf, None, extra=(*extra, ("cpu-used", str(self.preset))), threads=threads)
        return Encoding(codec.name, self.crf, self.preset, extra=extra, threads=threads)

    def _rate_options(self) -> tuple[tuple[str, str], ...]:
        """FFmpeg's options for qp and bitrate, which Encoding then puts in the place of a crf."""
        if self.bitrate is not None:
            return ("b", str(self.bitrate)), ("bt", "4000000")  # PyAV's own tolerance is not FFmpeg's
        if self.qp is None:
            return ()
        if self.codec == "vp9":
            return ("crf", str(self.qp)), ("qmin", str(self.qp)), ("qmax", str(self.qp)), ("b", "0")
        return (("qp", str(self.qp)),)


_RANGES = {
    "scale": (1, 16),
    "bitrate": (1000, 10**9),
    "threads": (1, 64),
    "noise": (0, 255),
    "blur": (0, 100),
    "seed": (0, 2**63 - 1),
}
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


def _check_type(name: str, value: Any) -> None:
    declared = Recipe.__annotations__[name].removesuffix(" | None")
    optional = declared != Recipe.__annotations__[name]
    if (value is None and optional) or (isinstance(value, _TYPES[declared]) and not isinstance(value, bool)):
        return
    kind = {"int": "a whole number", "float": "a number", "str": "text in quotes"}[declared]
    raise UsageError(f"{name} must be {kind}, not {value!r}.")


def _check_range(name: str, value: float | None, lowest: float, highest: float) -> None:
    if value is not None and not lowest <= value <= highest:
        raise UsageError(f"{name} must be from {lowest} to {highest}, not {value}.")


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
