"""Validation while training: the score of `subpixel score`, whole clips, a strip to look at."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import subpixel
from conftest import MakeClip
from pairs import write_pairs
from subpixel import color, metrics, upsample, video
from subpixel.degrade import Recipe, degrade
from subpixel.errors import InputError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn import state, validate
from subpixel.learn.store import Store
from subpixel.learn.team import Team
from subpixel.learn.train import train

ALONE = Team(0, 1, torch.device("cpu"))
SMALL = {"network": {"name": "fast", "channels": 8, "blocks": 1}, "stages": [{"steps": 9, "warmup": 0}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "store", frames=5)


def fresh(**options: Any) -> Any:
    asked = recipes.parse({**SMALL, "network": {**SMALL["network"], **options}}, "r.toml")
    return state.build(asked).fuse().eval()


def test_clips_of_a_store_are_pooled_exactly(store: Path) -> None:
    """Against `restore` and the metric taken by hand, frame by frame."""
    net = fresh()
    found = validate.validate(net, validate.clips(store, 0, 4), 4, ALONE)
    read, sse, n = Store(store), 0, 0
    for clip in read.clips:
        sharp, low = read.frames(clip)
        for ours, truth in zip(validate.restore(low, model=net, scale=4), sharp, strict=True):
            error = color.to_rgb(ours).astype(np.int64) - color.to_rgb(truth)
            sse, n = sse + int((error**2).sum()), n + error.size
    assert found.rgb == pytest.approx(metrics.psnr(sse, n), abs=1e-9)
    assert list(found.clips) == ["clip0", "clip1"]
    assert min(found.clips.values()) < found.rgb < max(found.clips.values())


def test_films_are_scored_as_the_command_scores_files(make_clip: MakeClip, tmp_path: Path) -> None:
    """Degrade, upscale without loss and `subpixel score` say the same of a film as validation does."""
    films = tmp_path / "films"
    films.mkdir()
    film = make_clip("v.mkv", size="160x96", frames=6, codec=("-c:v", "ffv1"))
    (films / "v.mkv").write_bytes(film.read_bytes())
    found = validate.validate(fresh(), validate.clips(films, 0, 4), 4, ALONE)
    degrade([str(film)], str(tmp_path / "low.mkv"), Recipe())
    with video.Writer(str(tmp_path / "made.mkv"), video.Encoding("ffv1")) as writer:
        for frame in validate.restore(video.read(tmp_path / "low.mkv"), model=fresh(), scale=4):
            writer.write(frame)
    scored = subpixel.score(tmp_path / "made.mkv", film).pooled.total
    assert (found.rgb, found.luma) == pytest.approx((scored.rgb.psnr, scored.luma.psnr), abs=1e-9)


def test_the_first_frames_or_all(store: Path, make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(make_clip("w.mp4", size="64x64", frames=7).read_bytes())
    assert [clip.count for clip in validate.clips(store, 0, 4)] == [5, 5]
    assert [clip.count for clip in validate.clips(store, 3, 4)] == [3, 3]
    assert [clip.count for clip in validate.clips(tmp_path, 0, 4)] == [7]
    (some,) = validate.clips(tmp_path, 2, 4)
    assert [len(list(side)) for side in some.frames()] == [2, 2]


def test_clips_set_apart_are_those_validated_on(tmp_path: Path) -> None:
    held = write_pairs(tmp_path / "held", clips=3, frames=2)
    parts = {"clip0": "train", "clip1": "validation", "clip2": "train"}
    (held / "manifest.json").write_text(json.dumps({"clips": {k: {"part": v} for k, v in parts.items()}}))
    assert [clip.name for clip in validate.clips(held, 0, 4)] == ["clip1"]


def test_a_store_of_another_scale(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "store", scale=2, clips=1, frames=2)
    with pytest.raises(UsageError, match="store holds pairs of scale 2 to validate on, the network is of scale 4"):
        validate.clips(pairs, 0, 4)


def test_nothing_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no clips to validate on; name a store or a folder of films"):
        validate.clips(tmp_path, 0, 4)


def test_the_strip_shows_three_pictures_of_one_moment(store: Path) -> None:
    found = validate.validate(fresh(), validate.clips(store, 0, 4), 4, ALONE)
    side = validate.CROP * 4
    assert found.strip is not None
    assert found.strip.shape == (2 * 128, 3 * side, 3)  # narrower clips leave room, lower ones do not
    read = Store(store)
    sharp, low = read.frames(read.clips[0])
    truth, small = color.to_rgb(sharp[2]), color.to_rgb(low[2])
    assert np.array_equal(found.strip[:128, 2 * side : 2 * side + 192], truth)
    assert np.array_equal(found.strip[:128:4, :192:4], small)
    # A network that has learnt nothing enlarges bicubically.
    plain = color.to_rgb(upsample.METHODS["bicubic"](low[2], 4)).astype(int)
    assert np.abs(found.strip[:128, side : side + 192] - plain)[8:-8, 8:-8].mean() < 2


def test_the_strip_is_a_png(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 33, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(validate.png(picture))
    (frame,) = video.read(tmp_path / "a.png", codec_info=False, deinterlace="off")
    assert np.array_equal(color.to_rgb(frame), picture)


def test_the_best_weights_are_kept(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rate that ruins the network after the first validation leaves the weights of that one as the best."""
    stages = [{"steps": 4, "batch": 2, "frames": 2, "crop": 16, "warmup": 0, "rate": 1e-9}]
    stages += [{**stages[0], "rate": 0.3, "clip": 100.0}]
    table = {**SMALL, "store": str(store), "stages": stages, "validation": {"clips": str(store), "every": 4}}
    run = train(recipes.parse(table, "r.toml"), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    scores = [line for line in lines if line["event"] == "validation"]
    assert [(line["step"], line["best"]) for line in scores] == [(4, True), (8, False)]
    assert scores[0]["psnr_rgb"] > scores[1]["psnr_rgb"] + 1
    assert run.best == pytest.approx(scores[0]["psnr_rgb"], abs=1e-4)
    kept, facts = state.read(tmp_path / state.BEST)
    assert facts["step"] == "4"
    start = dict(state.build(recipes.load(tmp_path / state.RECIPE)).named_parameters())
    assert all(torch.allclose(kept[f"average.{k}"], v, atol=1e-6) for k, v in start.items())
    assert sorted(p.name for p in tmp_path.glob("strip-*.png")) == ["strip-0000004.png", "strip-0000008.png"]
    said = capsys.readouterr().err
    assert f"{store} holds clips that are trained on; `subpixel clips split` sets some apart." in said
    assert "step 4: RGB " in said
    assert ", the best so far" in said
