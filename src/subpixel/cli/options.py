"""The options that commands share, and how their text becomes values."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from subpixel.errors import UsageError

Inputs = Annotated[
    list[str], typer.Argument(metavar="IN...", help="Films, folders of films or of pictures; - is standard input.")
]
Input = Annotated[str, typer.Argument(metavar="IN", help="A film or a folder of pictures.")]
Output = Annotated[
    str, typer.Option("-o", "--output", metavar="OUT", help="File, folder (ending in /) or - for standard output.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

Model = Annotated[
    str, typer.Option("-m", "--model", metavar="NAME", help="Network, method or file: see `subpixel models`.")
]
Scale = Annotated[int, typer.Option("-s", "--scale", help="How many times wider and higher.")]
Engine = Annotated[Literal["auto", "onnxruntime", "openvino", "torch"], typer.Option(help="What runs the network.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:N]", help="Where torch runs the network.")]
Precision = Annotated[
    Literal["auto", "fp32", "fp16", "bf16"], typer.Option(help="Arithmetic of torch; auto is fp16 on a card.")
]
Tile = Annotated[int, typer.Option(min=0, help="Pixels of a tile's side; 0 for what fits.")]
Ensemble = Annotated[bool, typer.Option("--ensemble", help="Mean over eight positions of the picture; 8 times slower.")]
WarpEngine = Annotated[
    str | None,
    typer.Option(
        metavar="grid=N,precision=1/N,kernel=K", help="Limits of hardware that warps for align-fuse; or default."
    ),
]
Codec = Annotated[Literal["h264", "hevc", "av1", "ffv1", "png"], typer.Option(help="png makes a folder of pictures.")]
Crf = Annotated[
    float | None, typer.Option(help="Quality on the codec's scale, lower is better.  [default: 16 for h264]")
]
Preset = Annotated[str | None, typer.Option(help="Speed of the codec.  [default: veryfast for h264]")]
PixFmt = Annotated[str | None, typer.Option(help="Pixel format.  [default: the input's]")]
Extra = Annotated[
    list[str] | None, typer.Option("-e", metavar="K=V", help="Further option of the encoder; repeatable.")
]
PipeFormat = Annotated[Literal["y4m", "nut"], typer.Option(help="What goes to standard output.")]
Overwrite = Annotated[bool, typer.Option("-y", "--overwrite", help="Replace existing outputs.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave existing outputs alone.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Search folders of folders; their structure is kept.")]

Sample = Annotated[
    str | None, typer.Option(metavar="5s[@30%]", help="A short piece only, from the middle or another place.")
]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="First moment: seconds or H:MM:SS.")]
End = Annotated[str | None, typer.Option(metavar="TIME", help="Moment to stop at: seconds or H:MM:SS.")]

Deinterlace = Annotated[Literal["auto", "off"], typer.Option(help="Make interlaced films progressive.")]
InputMatrix = Annotated[
    Literal["auto", "601", "709", "2020"], typer.Option(help="Colour matrix, whatever the tags say.")
]
InputRange = Annotated[Literal["auto", "limited", "full"], typer.Option(help="Value range, whatever the tags say.")]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.")]
NoSubs = Annotated[bool, typer.Option("--no-subs", help="Leave subtitles out.")]
NoChapters = Annotated[bool, typer.Option("--no-chapters", help="Leave chapters out.")]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave titles and other tags out.")]
NoAttachments = Annotated[bool, typer.Option("--no-attachments", help="Leave fonts and covers out.")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
ShowProgress = Annotated[
    Literal["auto", "rich", "plain", "json", "none"],
    typer.Option("--progress", help="How to tell how far it is, on standard error."),
]
Memory = Annotated[str | None, typer.Option(metavar="SIZE", help="Most memory to use: 700M, 2G.")]
Threads = Annotated[int, typer.Option(min=0, help="0 for one per core.")]
TempDir = Annotated[Path | None, typer.Option(help="Where unfinished chunks go.  [default: beside the output]")]
NoResume = Annotated[bool, typer.Option("--no-resume", help="Start afresh even if there is unfinished work.")]
KeepChunks = Annotated[bool, typer.Option("--keep-chunks", help="Leave the work folder behind.")]


def pair(text: str) -> tuple[str, str]:
    """("k", "v") of "k=v"; raises UsageError for anything else."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"-e takes an encoder option as name=value, not {text!r}.")
    return key, value


def seconds(text: str) -> float:
    """12.5 of "12.5", 3723.5 of "1:02:03.5", 5 of "5s"; raises UsageError for anything else."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?s?", text):
        raise UsageError(f"{text!r} is not a time; write seconds (12.5) or H:MM:SS (1:02:03).")
    total = 0.0
    for part in text.removesuffix("s").split(":"):
        total = 60 * total + float(part)
    return total


def size(text: str) -> int:
    """Bytes of "700M", "2G", "1.5GB", "800000000"; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.lower())
    if found is None:
        raise UsageError(f"{text!r} is not an amount of memory; write 700M or 2G.")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2] or " "))


def sample(text: str, duration: float | None) -> tuple[float, float]:
    """(start, end) in seconds of "5s" (from the middle), "5s@30%" or "5s@1:20" in a film this long."""
    length_text, at, place = text.partition("@")
    length = seconds(length_text)
    if not at:
        place = "50%"
    if not place.endswith("%"):
        return seconds(place), seconds(place) + length
    if not re.fullmatch(r"\d+(\.\d+)?%", place):
        raise UsageError(f"{text!r} is not a sample; write 5s, 5s@30% or 5s@1:20.")
    if duration is None:
        raise UsageError(f"The film does not say how long it is, so {place} of it is unknown; write 5s@1:20.")
    start = min(duration * float(place[:-1]) / 100, max(0.0, duration - length))
    return start, start + length
