"""Records of a run: lines in a file, numbers for TensorBoard, words for people."""

import json
import re
from pathlib import Path

import pytest

from subpixel.learn import log as logs
from subpixel.learn.log import Log, shown


def test_records_of_lost_work_are_removed(tmp_path: Path) -> None:
    """A run is killed at step 50, having saved at 30: what was said of 40 and 50 will be said again."""
    first = Log(tmp_path, 0, 100)
    for step in (10, 20, 30, 40, 50):
        first.record("train", step, {"loss": step / 100, "note": "words"})
    first.close()
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"event": "train", "st')  # cut in the middle of a line
    again = Log(tmp_path, 30, 100)
    again.record("validation", 40, {"psnr_rgb": 27.5, "clips": {"a": 27.5}})
    again.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line["step"]) for line in lines] == [
        ("train", 10), ("train", 20), ("train", 30), ("validation", 40),
    ]  # fmt: skip
    assert lines[0] == {"event": "train", "step": 10, "loss": 0.1, "note": "words"}


def test_numbers_reach_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log(tmp_path, 0, 100)
    log.record("train", 10, {"loss": 0.25, "clips": {"a": 1.0}})
    log.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert board.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(10, 0.25)]


def test_only_the_first_process_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(tmp_path, 0, 100, quiet=True)
    log.record("train", 10, {"loss": 0.25})
    with shown("run", 0, 100, quiet=True) as (tell, say):
        tell(1, "one")
        say("two")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_lines_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PLAIN_EVERY", 0.0)
    log = Log(tmp_path, 20, 100)
    with shown("run", 20, 100) as (tell, say):
        tell(25, f"loss 0.5, {log.left(25)}")
        say("saved")
    log.close()
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"run: step 25 of 100, loss 0\.5, [\d.]+ steps/s, [\d.]+ s left", lines[0])
    assert lines[1] == "saved"


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with shown("my run", 20, 100) as (tell, say):
        tell(60, "loss 0.5")
        say("step 60: the best [so far]")
    said = capsys.readouterr().err
    assert "step 60: the best [so far]" in said
    assert "60/100" in said
    assert "my run" in said
