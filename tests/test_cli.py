import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import MakeClip
from subpixel import cli
from subpixel.cli import options
from subpixel.errors import MemoryLimitError, UsageError, VerificationError
from subpixel.video import probe, read

SUBPIXEL = [sys.executable, "-m", "subpixel"]
QUICK = ("--model", "bicubic", "--scale", "1", "--threads", "1")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """run("upscale", ...) in an empty folder -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["subpixel", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def clips(sample_clip: Path, tmp_path: Path) -> Path:
    """Two films in a folder, one more below it, and one that is none."""
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    for name in ("a.mp4", "b.mov", "more/a.mp4"):
        shutil.copy(sample_clip, folder / name)
    return folder


def test_upscale_says_what_it_did_on_standard_error(run: Run, sample_clip: Path) -> None:
    code, out, err = run("upscale", sample_clip, "-o", "out.mkv", *QUICK)
    assert (code, out) == (0, "")
    assert re.search(r"^out\.mkv: 24 frames, 160x96 h264, [\d.]+ kB, in [\d.]+ s \([\d.]+ frames/s\)$", err, re.M)
    assert re.search(r"^  model    bicubic x1$", err, re.M)
    assert probe("out.mkv").video.width == 160


def test_json_is_one_object_on_standard_output(run: Run, sample_clip: Path) -> None:
    code, out, err = run("upscale", sample_clip, "-o", "out.mkv", *QUICK, "--json", "--progress", "none")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["schema_version"] == 1
    assert found["failed"] == []
    assert found["outputs"][0]["frames"] == 24


def test_progress_as_json_lines(run: Run, film: Path) -> None:
    code, out, err = run("upscale", film, "-o", "out.mkv", *QUICK, "--progress", "json")
    assert (code, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines[0] == {"event": "start", "schema_version": 1, "input": str(film), "output": "out.mkv"}
    assert set(lines[1]) == {"event", "stage", "frame", "total", "fps", "eta_s", "chunk"}
    assert [line["stage"] for line in lines[-3:-1]] == ["assemble", "verify"]
    assert lines[-1]["event"] == "end"


def test_a_dry_run_writes_nothing(run: Run, rich_clip: Path, tmp_path: Path) -> None:
    code, out, _ = run("upscale", rich_clip, "-o", "out.mp4", "--model", "bicubic", "--dry-run")
    assert code == 0
    assert re.match(r"out\.mp4: about 2[56] frames, 640x384 h264\n", out)
    assert "  keeps    audio 2: " in out
    assert "  drops    attachment 1" in out
    assert "free" in out
    code, out, _ = run("upscale", rich_clip, "-o", "out.mp4", "--model", "bicubic", "--dry-run", "--json")
    assert json.loads(out)["outputs"][0]["width"] == 640
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("sample", "frames"), [("0.4s", 10), ("0.4s@0%", 10), ("0.2@0:00.5", 5), ("9s", 24)])
def test_samples(run: Run, sample_clip: Path, sample: str, frames: int) -> None:
    code, out, _ = run("upscale", sample_clip, "-o", "out.mkv", *QUICK, "--sample", sample, "--json")
    assert code == 0
    assert json.loads(out)["outputs"][0]["frames"] == frames


@pytest.mark.parametrize(
    ("function", "text", "value"),
    [
        (options.seconds, "12.5", 12.5),
        (options.seconds, "1:02:03.5", 3723.5),
        (options.seconds, "5s", 5.0),
        (options.size, "700M", 700_000_000),
        (options.size, "1.5GB", 1_500_000_000),
        (options.size, "2GiB", 2_000_000_000),
        (options.size, "12345", 12345),
        (options.pair, "tune=film", ("tune", "film")),
        (options.pair, "x265-params=a=1:b=2", ("x265-params", "a=1:b=2")),
    ],
)
def test_values_of_options(function: Callable[[str], Any], text: str, value: Any) -> None:
    assert function(text) == value


@pytest.mark.parametrize(
    ("function", "text", "sentence"),
    [
        (options.seconds, "soon", "'soon' is not a time; write seconds"),
        (options.size, "much", "'much' is not an amount of memory; write 700M or 2G"),
        (options.pair, "film", "-e takes an encoder option as name=value, not 'film'"),
        (lambda text: options.sample(text, 10.0), "5s@half%", "'5s@half%' is not a sample"),
        (lambda text: options.sample(text, None), "5s@30%", "does not say how long it is, so 30% of it is unknown"),
    ],
)
def test_values_that_make_no_sense(function: Callable[[str], Any], text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        function(text)


def test_a_folder_in_a_folder_out(run: Run, clips: Path) -> None:
    code, out, _ = run("upscale", clips, "-o", "out/", *QUICK, "--recursive", "--json")
    assert code == 0
    assert sorted(str(p) for p in Path("out").rglob("*.m*")) == ["out/a.mp4", "out/b.mov", "out/more/a.mp4"]
    assert len(json.loads(out)["outputs"]) == 3


def test_existing_outputs_can_be_skipped(run: Run, clips: Path) -> None:
    Path("out").mkdir()
    Path("out/a.mp4").write_text("done")
    code, out, _ = run("upscale", clips, "-o", "out", *QUICK, "--skip-existing", "--json")
    assert code == 0
    assert [Path(report["output"]).name for report in json.loads(out)["outputs"]] == ["b.mov"]
    assert Path("out/a.mp4").read_text() == "done"


def test_a_failing_film_does_not_stop_the_others(run: Run, clips: Path) -> None:
    (clips / "a0.mp4").write_bytes(b"no film at all" * 100)
    code, out, err = run("upscale", clips, "-o", "out/", *QUICK, "--json")
    assert code == 3
    assert re.search(r"error: 1 of 3 films failed, the others are done:\n  '.*a0\.mp4': .* cannot be read", err)
    found = json.loads(out)
    assert len(found["outputs"]) == 2
    assert found["failed"][0]["exit_code"] == 4
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.mp4", "b.mov"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("clips/a.mp4", "clips/b.mov", "-o", "out.mkv"), "There are 2 inputs, so -o must name a folder"),
        (("clips/a.mp4", "clips/b.mov", "-o", "-"), "Standard output takes one film"),
        (("clips/a.mp4", "clips/more/a.mp4", "-o", "out/"), "Several inputs would become 'out/a.mp4'"),
        (("clips/a.mp4", "-o", "out.mkv", "--sample", "1s", "--start", "0"), "leave --start and --end out"),
        (("clips/a.mp4", "-o", "-", "--json"), "Standard output takes either the film or the JSON"),
        (("clips/a.mp4", "-o", "out", "--codec", "png", "--crf", "3"), "PNG pictures take no --crf"),
        (("clips/a.mp4", "-o", "out.mkv", "--codec", "ffv1", "--crf", "3"), "ffv1 is lossless"),
        (("clips/a.mp4", "-o", "out.mkv", "-e", "film"), "-e takes an encoder option as name=value"),
        (("clips/a.mp4", "-o", "out.mkv", "--no-such-option"), "No such option"),
        (("clips/a.mp4",), "Missing option '-o'"),
    ],
)
def test_exit_code_2_for_requests_without_sense(run: Run, clips: Path, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = run("upscale", *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert [p.name for p in clips.parent.iterdir()] == ["clips"]


def test_exit_code_1_for_the_unexpected(run: Run, sample_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subpixel.plan.plan", lambda *_: 1 / 0)
    code, _, err = run("upscale", sample_clip, "-o", "out.mkv", "--dry-run")
    assert code == 1
    assert err.startswith("error: Unexpected ZeroDivisionError: division by zero. Report it with")
    monkeypatch.setenv("SUBPIXEL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run("upscale", sample_clip, "-o", "out.mkv", "--dry-run")


def test_exit_codes_4_5_and_7(run: Run, sample_clip: Path, tmp_path: Path) -> None:
    assert run("upscale", "missing.mp4", "-o", "out.mkv")[0] == 4
    code, _, err = run("upscale", sample_clip, "-o", "out.mkv", "--model", "splendid")
    assert (code, "There is no network 'splendid'" in err) == (5, True)
    Path("file").write_text("in the way")
    code, _, err = run("upscale", sample_clip, "-o", "file/out.mkv", *QUICK)
    assert (code, "Not a directory" in err) == (7, True)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_exit_code_6_for_too_little_memory(run: Run, sample_clip: Path) -> None:
    code, _, err = run("upscale", sample_clip, "-o", "out.mkv", *QUICK, "--memory", "1M")
    assert code == MemoryLimitError.exit_code == 6
    assert "but --memory allows 1 MB; allow more" in err


def test_exit_code_8_for_a_bad_film(run: Run, sample_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise VerificationError("out.mkv holds 23 pictures instead of 24.")

    monkeypatch.setattr("subpixel.job.verify", refuse)
    code, _, err = run("upscale", sample_clip, "-o", "out.mkv", *QUICK)
    assert (code, err.splitlines()[-1]) == (8, "error: out.mkv holds 23 pictures instead of 24.")
    assert not Path("out.mkv").exists()


@pytest.fixture(scope="module")
def long_clip(make_clip: MakeClip) -> Path:
    """Two chunks, each of which takes a while to enlarge."""
    return make_clip("long.mp4", frames=300)


@pytest.mark.parametrize(
    ("signals", "code", "sentence"),
    [
        ([signal.SIGINT], 130, "Stopped after 240 frames; run the same command to continue."),
        ([signal.SIGTERM], 143, "Stopped after 240 frames; run the same command to continue."),
        ([signal.SIGINT, signal.SIGINT], 130, "Stopped at once; the finished chunks are kept"),
    ],
)
def test_signals(long_clip: Path, tmp_path: Path, signals: list[int], code: int, sentence: str) -> None:
    command = [*SUBPIXEL, "upscale", str(long_clip), "-o", "out.mkv", "--model", "bicubic", "--progress", "json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        lines = iter(running.stderr)
        while '"stage": "restore"' not in next(lines):
            pass
        for number in signals:
            running.send_signal(number)
            time.sleep(0.1)
        rest = "".join(lines)
    assert (running.returncode, sentence in rest) == (code, True), rest
    assert not (tmp_path / "out.mkv").exists()
    again = subprocess.run([*command, "--sample", "0.1s", "-o", "other.mkv"], cwd=tmp_path, capture_output=True)
    assert again.returncode == 0


def test_a_film_through_pipes(sample_clip: Path, tmp_path: Path) -> None:
    command = [*SUBPIXEL, "upscale", *QUICK]
    for container in ("y4m", "nut"):
        first = subprocess.run([*command, sample_clip, "-o", "-", "--container", container], capture_output=True)
        assert first.returncode == 0, first.stderr
        second = subprocess.run(
            [*command, "-", "-o", tmp_path / "out.mkv", "--codec", "ffv1", "-y"],
            input=first.stdout,
            capture_output=True,
        )
        assert second.returncode == 0, second.stderr
        pairs = zip(read(sample_clip), read(tmp_path / "out.mkv"), strict=True)
        assert all((a.planes[0] == b.planes[0]).all() for a, b in pairs)


def test_a_reader_that_leaves_is_no_error(long_clip: Path) -> None:
    command = [*SUBPIXEL, "upscale", *QUICK, long_clip, "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(9) == b"YUV4MPEG2"
        running.stdout.close()
        assert b"rror" not in running.stderr.read()
    assert running.returncode == 0


@pytest.mark.parametrize("name", ["with space", "qu'ot\"es", "new\nline", "кино", "映画", "-dash", "[red]", "a%03d"])
def test_odd_names(run: Run, sample_clip: Path, name: str) -> None:
    source, target = f"{name}.mp4", f"{name} restored.mkv"
    shutil.copy(sample_clip, source)
    code, _, err = run("upscale", "-o", target, *QUICK, "--", source)
    assert (code, Path(target).exists()) == (0, True), err
    code, _, err = run("upscale", "-o", target, *QUICK, "--", source)
    assert (code, len(err.splitlines())) == (2, 1)


def on_a_terminal(*words: object, cwd: Path, **environment: str) -> str:
    """What a command shows on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
    command = [*SUBPIXEL, *map(str, words)]
    running = subprocess.Popen(command, cwd=cwd, stdin=follower, stdout=follower, stderr=follower, env=variables)
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(leader)
    assert running.wait() == 0, shown
    return shown.decode()


def test_a_bar_on_a_terminal(film: Path, tmp_path: Path) -> None:
    shown = on_a_terminal("upscale", film, "-o", "out.mkv", "--model", "bicubic", cwd=tmp_path)
    assert "film.mkv" in shown
    assert " fps" in shown
    assert "chunk 1" in shown
    assert "━" in shown
    assert "\x1b[?25h" in shown  # the cursor is back


def test_no_colour_where_none_is_wanted(film: Path, tmp_path: Path) -> None:
    shown = on_a_terminal("upscale", film, "-o", "out.mkv", "--model", "bicubic", cwd=tmp_path, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", shown)
    shown = on_a_terminal("upscale", film, "-o", "out2.mkv", *QUICK, cwd=tmp_path, TERM="dumb")
    assert "\x1b" not in shown


def test_estimate(run: Run, sample_clip: Path, tmp_path: Path) -> None:
    code, out, _ = run("estimate", sample_clip, "--model", "bicubic")
    assert code == 0
    assert re.search(r"frames/s at 640x384; 24 frames take about [\d.]+ s and [\d.]+ kB\n", out)
    code, out, _ = run("estimate", sample_clip, "--model", "bicubic", "--json")
    assert json.loads(out)["sampled"] == 24
    assert list(tmp_path.iterdir()) == []


def test_probe(run: Run, rich_clip: Path) -> None:
    code, out, _ = run("probe", rich_clip)
    assert code == 0
    assert "  video    h264, 160x96 yuv420p, 25 frames/s" in out
    assert "  colour   BT.709, limited range" in out
    assert "  samples  32:27 (width to height)" in out
    assert "audio, aac, deu, Deutsch" in out
    assert "  chapter  0.500 to 1.000 s: Second" in out
    found = json.loads(run("probe", rich_clip, "--json")[1])
    assert found["video"]["width"] == 160
    assert found["video"]["rate"] == 25.0


def test_models(run: Run) -> None:
    code, out, _ = run("models")
    assert code == 0
    assert re.search(r"^fast +x4 .*intact$", out, re.M)
    assert re.search(r"^lanczos +x1 to x4 +method$", out, re.M)
    assert {row["name"] for row in json.loads(run("models", "--json")[1])["models"]} >= {"fast", "bicubic", "edge"}


def test_models_find_a_damaged_network(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from subpixel import weights

    shutil.copytree(weights.FOLDER, tmp_path / "weights")
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    network = next((tmp_path / "weights").glob("*.onnx"))
    network.write_bytes(network.read_bytes() + b"\0")
    code, out, err = run("models")
    assert (code, "damaged" in out) == (5, True)
    assert "is not the one its card describes" in err


def test_doctor(run: Run) -> None:
    code, out, err = run("doctor", "--json")
    found = json.loads(out)
    assert (code, found["broken"]) == (0, []), err
    assert found["versions"]["av"].startswith(("17", "18", "19", "20"))
    assert found["checks"]["encoder h264"] == "works"


def test_doctor_says_what_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subpixel.cli.doctor.CODECS", ("h264", "vp10"))
    code, out, err = run("doctor")
    assert code == 1
    assert "encoder vp10             FAILS, UsageError: There is no codec 'vp10'" in out
    assert "error: This does not work: encoder vp10; install subpixel again or report it." in err


def test_version_and_python_m(run: Run) -> None:
    from subpixel import __version__

    assert run("--version") == (0, f"subpixel {__version__}\n", "")
    done = subprocess.run([*SUBPIXEL, "--version"], capture_output=True, text=True)
    assert done.stdout == f"subpixel {__version__}\n"


def test_the_help_names_every_exit_code(run: Run) -> None:
    _, out, _ = run("--help")
    assert all(re.search(rf"\b{code}\b", out) for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 130, 143))
