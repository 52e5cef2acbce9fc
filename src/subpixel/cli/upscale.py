"""subpixel upscale, subpixel estimate"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subpixel.cli import options as o
from subpixel.cli.batch import pairs
from subpixel.cli.progress import Kind, choose, shown
from subpixel.errors import BatchError, Interrupted, SubpixelError, UsageError
from subpixel.stop import Stop, stoppable

if TYPE_CHECKING:
    from subpixel.multiframe.warp_engine import WarpEngine
    from subpixel.outcome import Report
    from subpixel.plan import Options
    from subpixel.video import Encoding

SCHEMA_VERSION = 1


def upscale(
    inputs: o.Inputs,
    output: o.Output,
    model: o.Model = "fast",
    scale: o.Scale = 4,
    engine: o.Engine = "auto",
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    tile: o.Tile = 0,
    ensemble: o.Ensemble = False,
    warp_engine: o.WarpEngine = None,
    codec: o.Codec = "h264",
    crf: o.Crf = None,
    preset: o.Preset = None,
    pix_fmt: o.PixFmt = None,
    extra: o.Extra = None,
    container: o.PipeFormat = "y4m",
    overwrite: o.Overwrite = False,
    skip_existing: o.SkipExisting = False,
    recursive: o.Recursive = False,
    sample: o.Sample = None,
    start: o.Start = None,
    end: o.End = None,
    deinterlace: o.Deinterlace = "auto",
    input_matrix: o.InputMatrix = "auto",
    input_range: o.InputRange = "auto",
    no_audio: o.NoAudio = False,
    no_subs: o.NoSubs = False,
    no_chapters: o.NoChapters = False,
    no_metadata: o.NoMetadata = False,
    no_attachments: o.NoAttachments = False,
    progress: o.ShowProgress = "auto",
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    memory: o.Memory = None,
    threads: o.Threads = 0,
    temp_dir: o.TempDir = None,
    no_resume: o.NoResume = False,
    keep_chunks: o.KeepChunks = False,
) -> None:
    """Restore and enlarge films.

    Sound, subtitles, chapters, times and colours are carried over. An interrupted run is continued by the same command.
    """
    from subpixel.plan import Options
    from subpixel.video import Keep

    if sample is not None and (start is not None or end is not None):
        raise UsageError("--sample chooses its own section; leave --start and --end out.")
    if output == "-" and as_json:
        raise UsageError("Standard output takes either the film or the JSON; send the film to a file.")
    options = Options(
        model=model,
        scale=scale,
        engine=engine,
        device=device,
        precision=precision,
        tile=tile,
        ensemble=ensemble,
        warp_engine=_warp_engine(warp_engine),
        encoding=_encoding(codec, crf, preset, pix_fmt, extra, threads),
        images=codec == "png",
        keep=Keep(not no_audio, not no_subs, not no_chapters, not no_attachments, not no_metadata),
        start=None if start is None else o.seconds(start),
        end=None if end is None else o.seconds(end),
        deinterlace=deinterlace,
        input_matrix=input_matrix if input_matrix == "auto" else f"bt{input_matrix}",
        input_range=input_range,
        threads=threads,
        memory=None if memory is None else o.size(memory),
        overwrite=overwrite,
        resume=not no_resume,
        keep_chunks=keep_chunks,
        temp_dir=temp_dir,
        container=container,
    )
    films = pairs(inputs, output, recursive=recursive, images=options.images)
    if skip_existing:
        films = [film for film in films if not _finished(film[1])]
    show = choose(progress)
    with stoppable("the finished chunks are kept") as stop:
        work = _planned if dry_run else lambda *film: _restored(*film, show=show, stop=stop)
        done, failed = _each(films, options, sample, work)
    if as_json:
        outputs = [result.as_dict() for result in done]
        print(json.dumps({"schema_version": SCHEMA_VERSION, "outputs": outputs, "failed": failed}))
    elif dry_run:
        print("\n".join(map(str, done)))
    if failed:
        names = "".join(f"\n  {failure['source']!r}: {failure['error']}" for failure in failed)
        raise BatchError(f"{len(failed)} of {len(films)} films failed, the others are done:{names}")


def estimate(
    source: o.Input,
    model: o.Model = "fast",
    scale: o.Scale = 4,
    engine: o.Engine = "auto",
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    tile: o.Tile = 0,
    ensemble: o.Ensemble = False,
    warp_engine: o.WarpEngine = None,
    codec: o.Codec = "h264",
    crf: o.Crf = None,
    preset: o.Preset = None,
    pix_fmt: o.PixFmt = None,
    extra: o.Extra = None,
    threads: o.Threads = 0,
    as_json: o.Json = False,
) -> None:
    """Foretell time and size of a restored film.

    Two seconds of it are restored here and now.
    """
    from subpixel.estimate import estimate as measure
    from subpixel.plan import Options

    encoding = _encoding(codec, crf, preset, pix_fmt, extra, threads)
    options = Options(
        model=model,
        scale=scale,
        engine=engine,
        device=device,
        precision=precision,
        tile=tile,
        ensemble=ensemble,
        warp_engine=_warp_engine(warp_engine),
        encoding=encoding,
        images=codec == "png",
        threads=threads,
    )
    with stoppable("the finished chunks are kept") as stop:
        found = measure(source, options, cancel=stop)
    print(json.dumps({"schema_version": SCHEMA_VERSION, **found.as_dict()}) if as_json else found)


def _encoding(
    codec: str, crf: float | None, preset: str | None, pix_fmt: str | None, extra: list[str] | None, threads: int
) -> "Encoding":
    from subpixel.video import Encoding

    settings = tuple(o.pair(text) for text in extra or ())
    if codec == "png":
        if crf is not None or preset is not None or pix_fmt is not None or settings:
            raise UsageError("PNG pictures take no --crf, --preset, --pix-fmt or -e; leave them out.")
        return Encoding(threads=threads)
    return Encoding(codec, crf, preset, pix_fmt, settings, threads)


def _warp_engine(text: str | None) -> "WarpEngine | None":
    from subpixel.multiframe.warp_engine import parse

    return None if text is None else parse(text)


def _finished(output: str) -> bool:
    """Whether --skip-existing leaves this output alone: it exists and no work on it is unfinished."""
    from subpixel.journal import work_folder

    return output != "-" and Path(output).exists() and not work_folder(Path(output)).exists()


def _each(
    films: list[tuple[str, str]], options: "Options", sample: str | None, work: Callable[[str, str, "Options"], Any]
) -> tuple[list[Any], list[dict[str, Any]]]:
    """(results, failures) of every film; the failure of an only film is raised."""
    done: list[Any] = []
    failed: list[dict[str, Any]] = []
    for source, output in films:
        try:
            done.append(work(source, output, _cut(options, sample, source)))
        except Interrupted:
            raise
        except Exception as error:
            if len(films) == 1:
                raise
            code = error.exit_code if isinstance(error, SubpixelError) else 1
            print(f"failed: {source!r}: {error}", file=sys.stderr)
            failed.append({"source": source, "output": output, "error": str(error), "exit_code": code})
    return done, failed


def _cut(options: "Options", sample: str | None, source: str) -> "Options":
    """The options with the section that --sample means in this film."""
    if sample is None:
        return options
    from subpixel.video import probe

    info = None if source == "-" else probe(source)
    start, end = o.sample(sample, None if info is None else info.video.duration or info.duration)
    return dataclasses.replace(options, start=start, end=end)


def _planned(source: str, output: str, options: "Options") -> Any:
    from subpixel.plan import plan

    return plan(source, output, options)


def _restored(source: str, output: str, options: "Options", *, show: Kind, stop: Stop) -> "Report":
    from subpixel import upscale as restore_film

    with shown(show, source, output, stop) as tell:
        report = restore_film(source, output, **vars(options), progress=tell, cancel=stop)
    if show in ("rich", "plain"):
        print(report, file=sys.stderr)
    return report
