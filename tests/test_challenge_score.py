"""The verdict: exact sums, the same with and without the truth, and a decoder that can do nothing else."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ffmpeg
from hostile import RULES, entry, frames, manifest, pictures, png, tar, truth
from subpixel import color, video
from subpixel.challenge import decoding
from subpixel.challenge.decoding import Decoder, Fault
from subpixel.challenge.layout import check
from subpixel.challenge.problems import CODES
from subpixel.challenge.score import Verdict, judge
from subpixel.errors import InputError, Refused, UsageError
from subpixel.metrics import SquaredError

CLIPS = manifest("90", "91")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return truth(tmp_path_factory.mktemp("contest") / "truth", "90", "91")


def verdicts(folder: Path, archive: bytes, originals: Path) -> tuple[Verdict, Verdict]:
    """At home and on the server."""
    (folder / "answer.tar").write_bytes(archive)
    return judge(folder / "answer.tar", CLIPS, RULES), judge(folder / "answer.tar", CLIPS, RULES, originals)


def test_a_perfect_copy_has_no_error(originals: Path, tmp_path: Path) -> None:
    home, server = verdicts(tmp_path, tar(frames("90", "91")), originals)
    assert (home.valid, server.valid, home.problems) == (True, True, server.problems)
    assert server.error == SquaredError(0, 2 * 3 * 32 * 16 * 3)
    assert server.as_dict()["psnr"] == "inf"
    assert home.as_dict()["sse"] is home.as_dict()["psnr"] is home.as_dict()["truth"] is None
    assert all(clip.locked for clip in server.clips), "the decoder could open files"


def test_a_pipe_is_judged_as_the_file_is(originals: Path, tmp_path: Path) -> None:
    for archive in (tar(frames("90", "91")), tar(frames("90", "91"))[:-700]):
        home, server = verdicts(tmp_path, archive, originals)
        reader, writer = os.pipe()
        with ThreadPoolExecutor(1) as other:
            other.submit(_written, writer, archive)
            assert judge(f"/dev/fd/{reader}", CLIPS, RULES, originals) == server
        os.close(reader)
        assert home.problems == server.problems


def test_of_a_pipe_no_more_is_kept_than_an_answer_may_have() -> None:
    small = dataclasses.replace(RULES, limits=dataclasses.replace(RULES.limits, archive_bytes=1 << 16))
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout is not None
        (only,) = judge(f"/dev/fd/{endless.stdout.fileno()}", CLIPS, small).problems
        endless.kill()
    assert only.code == "too_large"


def _written(pipe: int, content: bytes) -> None:
    with os.fdopen(pipe, "wb") as file:
        file.write(content)


def test_sums_are_exact_for_one_sample_a_shift_and_swapped_clips(originals: Path, tmp_path: Path) -> None:
    first, second = pictures(seed=0), pictures(seed=1)
    changed = [picture.copy() for picture in first]
    changed[1][3, 5, 2] ^= 7  # one sample
    shifted = [second[0], *second[:-1]]
    files = [
        (f"{clip}/{n:04d}.png".encode(), png(p))
        for clip, ps in (("90", changed), ("91", shifted))
        for n, p in enumerate(ps, 1)
    ]
    _, server = verdicts(tmp_path, tar(files), originals)
    one = (int(changed[1][3, 5, 2]) - int(first[1][3, 5, 2])) ** 2
    late = sum(int(((a.astype(int) - b) ** 2).sum()) for a, b in zip(shifted, second, strict=True))
    assert [clip.error.sse for clip in server.clips] == [one, late]
    assert server.error.sse == one + late
    swapped = [
        (name.replace(b"90", b"9x").replace(b"91", b"90").replace(b"9x", b"91"), data)
        for name, data in frames("90", "91")
    ]
    _, server = verdicts(tmp_path, tar(swapped), originals)
    wrong = sum(int(((a.astype(int) - b) ** 2).sum()) for a, b in zip(first, second, strict=True))
    assert server.error.sse == 2 * wrong


def test_a_video_is_scored_by_the_pinned_conversion(originals: Path, tmp_path: Path) -> None:
    film = tmp_path / "90.mp4"
    samples = b"".join(picture.tobytes() for picture in pictures())
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x16", "-i", "-")
    ffmpeg(*raw, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1", film, data=samples)
    archive = entry(b"mine/90.mp4", film.read_bytes()) + tar(
        [(b"mine/" + name, data) for name, data in frames("90", "91")[3:]]
    )
    _, server = verdicts(tmp_path, archive, originals)
    shown = [color.to_rgb(frame) for frame in video.read(film, codec_info=False)]
    expected = sum((SquaredError.of(a, b) for a, b in zip(shown, pictures(), strict=True)), SquaredError())
    assert (server.clips[0].form, server.clips[0].error) == ("video", expected)
    assert server.notes == ("All clips lie in the folder mine/.",)


def test_each_clips_first_problem_is_told_at_home_and_on_the_server(originals: Path, tmp_path: Path) -> None:
    files = dict(frames("90", "91"))
    files[b"90/0002.png"] = png(pictures(1, width=8)[0])
    files[b"91/0001.png"] = files[b"91/0001.png"][:-30]
    home, server = verdicts(tmp_path, tar(list(files.items())), originals)
    assert home.problems == server.problems
    assert [str(problem) for problem in home.problems] == [
        "picture_size: 90/0002.png: It is 8x16; the clip is 32x16.",
        "png_damaged: 91/0001.png: The file is cut off.",
    ]
    assert server.clips == ()
    assert server.as_dict()["sse"] is None


def test_a_file_that_is_not_there_and_a_truth_that_does_not_fit(originals: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing.tar' cannot be read: No such file"):
        judge(tmp_path / "missing.tar", CLIPS, RULES)
    with pytest.raises(UsageError, match="does not hold the truth of these clips"):
        judge(tmp_path / "missing.tar", manifest("92"), RULES, originals)
    with pytest.raises(UsageError, match=r"90.rgb has 4608 bytes; 4 frames of 32x16 have 6144"):
        judge(tmp_path / "missing.tar", manifest("90", frames=4), RULES, originals)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_bytes_gives_one_verdict(originals: Path, tmp_path: Path, data: st.DataObject) -> None:
    archive = bytearray(tar(frames("90")))
    for _ in range(data.draw(st.integers(1, 3))):
        archive[data.draw(st.integers(0, len(archive) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "answer.tar").write_bytes(archive)
    home, server = (judge(tmp_path / "answer.tar", manifest("90"), RULES, side) for side in (None, originals))
    assert home.problems == server.problems
    assert all(problem.code in CODES for problem in home.problems)
    assert home.valid == bool(server.error.n)


# ---- the decoder's process

LOCKED = """
import os, signal, socket, subprocess, sys, time
from subpixel.challenge import sandbox
truth, descriptor = sys.argv[1], os.open(sys.argv[1], os.O_RDONLY)
out = os.open(sys.argv[2], os.O_WRONLY)
import ctypes, errno
print(sandbox.lock(1 << 26, 5), flush=True)
def attempt(name, action):
    try:
        action()
        print(name, "DONE", flush=True)
    except (OSError, MemoryError) as error:
        print(name, type(error).__name__, flush=True)
attempt("open", lambda: open(truth))
attempt("list", lambda: os.listdir("/"))
attempt("stat", lambda: os.stat(truth))
attempt("socket", lambda: socket.socket())
attempt("unix socket", lambda: socket.socketpair())
attempt("fork", os.fork)
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
attempt("kill", lambda: os.kill(os.getppid(), 0))
attempt("write", lambda: os.write(out, b"x" * 10))
attempt("memory", lambda: bytearray(1 << 28))
attempt("read", lambda: os.pread(descriptor, 1, 0) or sys.exit())
"""


def test_the_locked_process_reaches_nothing(tmp_path: Path) -> None:
    (tmp_path / "truth").write_bytes(b"secret")
    (tmp_path / "out").touch()
    command = [sys.executable, "-c", LOCKED, tmp_path / "truth", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, env={"OPENBLAS_NUM_THREADS": "1"})
    told = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines()[1:])
    assert done.stdout.startswith("seccomp\n"), done.stderr
    refused = ("open", "list", "stat", "socket", "unix socket", "fork", "exec", "kill")
    assert {told[name] for name in refused} == {"PermissionError"}
    assert (told["memory"], told["read"]) == ("MemoryError", "DONE")
    assert told.get("write") == "OSError" or (tmp_path / "out").read_bytes() == b""


def test_the_locked_process_ends_with_its_time() -> None:
    code = "from subpixel.challenge import sandbox\nsandbox.lock(1 << 26, 1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], env={"OPENBLAS_NUM_THREADS": "1"}, capture_output=True)
    assert done.returncode == -signal.SIGXCPU


def answer(folder: Path) -> tuple[Path, decoding.Answer]:
    path = folder / "answer.tar"
    path.write_bytes(tar(frames("90")))
    with path.open("rb") as file:
        return path, check(file, manifest("90"), RULES).answers[0]


def test_a_decoder_that_is_killed_is_the_machines_fault(tmp_path: Path) -> None:
    path, clip = answer(tmp_path)
    with path.open("rb") as file, Decoder(file, clip, RULES.limits) as decoder:
        os.kill(decoder._process.pid, signal.SIGKILL)
        with pytest.raises(Fault, match="ended with -9, and not by the answer's fault"):
            list(decoder.pictures())


def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    path, clip = answer(tmp_path)
    with path.open("rb") as file, Decoder(file, clip, RULES.limits) as decoder:
        next(decoder.pictures())
    with pytest.raises(ProcessLookupError):
        os.kill(decoder._process.pid, 0)


FRAME = "F" + "x" * (32 * 16 * 3)
WICKED = {
    "no beginning": ("printf X", Refused, "decoder_misbehaved"),
    "junk for a picture": ("printf SX", Refused, "decoder_misbehaved"),
    "one picture too many": (f"printf S{FRAME * 4}D", Refused, "decoder_misbehaved"),
    "something behind the end": (f"printf S{FRAME * 3}Dx", Refused, "decoder_misbehaved"),
    "an endless end": (f"printf S{FRAME * 3}D; yes", Refused, "decoder_misbehaved"),
    "an endless report": ("printf SR; yes", Refused, "decoder_misbehaved"),
    "no report": ("printf SR{", Refused, "decoder_misbehaved"),
    "an unknown code": ("""printf 'SR{"code": "x", "sentence": "y", "frame": 0}'""", Refused, "decoder_misbehaved"),
    "markup": ("""printf 'SR{"code": "png", "sentence": "\\u001b", "frame": 0}'""", Refused, "decoder_misbehaved"),
    "a frame of nowhere": (
        """printf 'SR{"code": "png", "sentence": "y", "frame": -1}'""",
        Refused,
        "decoder_misbehaved",
    ),
    "a crash": ("printf S; kill -SEGV $$", Refused, "decoder_crashed"),
    "an abort": (f"printf S{FRAME}; kill -ABRT $$", Refused, "decoder_crashed"),
    "no time left": (f"printf S{FRAME}; kill -XCPU $$", Refused, "too_slow"),
    "an early end": (f"printf S{FRAME}", Fault, "ended with 0"),
    "a wrong Python": ("exit 1", Fault, "ended with 1"),
    "the system's killer": (f"printf S{FRAME}; kill -KILL $$", Fault, "ended with -9"),
}


@pytest.mark.parametrize("name", WICKED)
def test_a_wicked_decoder_gains_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that took the decoder's place says what it likes."""
    script, kind, words = WICKED[name]
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(decoding.sys, "executable", str(program))
    path, clip = answer(tmp_path)
    with path.open("rb") as file, Decoder(file, clip, RULES.limits) as decoder, pytest.raises(kind) as caught:
        list(decoder.pictures())
    assert words in (getattr(caught.value, "code", ""), str(caught.value)) or words in str(caught.value)


def test_the_decoder_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(
        f"#!/bin/sh\ncat >/dev/null\nenv > {tmp_path}/environment\nls /proc/self/fd > {tmp_path}/files\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(decoding.sys, "executable", str(program))
    monkeypatch.setenv("SECRET_KEY", "0123")
    path, clip = answer(tmp_path)
    with path.open("rb") as file, Decoder(file, clip, RULES.limits) as decoder, pytest.raises(Fault):
        list(decoder.pictures())
    assert "SECRET" not in (tmp_path / "environment").read_text()


def test_pictures_are_numpys(originals: Path, tmp_path: Path) -> None:
    path, clip = answer(tmp_path)
    with path.open("rb") as file, Decoder(file, clip, RULES.limits) as decoder:
        shown = [np.frombuffer(samples, np.uint8).copy() for samples in decoder.pictures()]
    assert decoder.locked
    assert all((a == b.reshape(-1)).all() for a, b in zip(shown, pictures(), strict=True))
    assert io.BytesIO(b"".join(map(bytes, shown))).getvalue() == (originals / "90.rgb").read_bytes()
