"""The comparison page: what it holds, and how it behaves in a browser without a network."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from skimage.io import imread

from browser import CHROMIUM, FLAGS
from conftest import MakeClip, ffmpeg
from subpixel import color, metrics, video
from subpixel.compare import Crop, report
from subpixel.errors import DiskError, InputError, UsageError

SCRIPT = "</script><script>document.title='broken'</script>.mp4"


@pytest.fixture(scope="module")
def films(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A reference, a restored version and its input of half the size."""
    folder = tmp_path_factory.mktemp("films")
    original = make_clip("original.mkv", size="192x128", codec=("-c:v", "ffv1"))
    low, restored = folder / "low.mp4", folder / "restored.mp4"
    ffmpeg("-i", original, "-vf", "scale=iw/2:ih/2", "-c:v", "libx264", "-crf", 21, low)
    ffmpeg("-i", low, "-vf", "scale=iw*2:ih*2:flags=lanczos", "-c:v", "libx264", "-crf", 16, restored)
    return {"original": original, "low": low, "restored": restored}


@pytest.fixture(scope="module")
def page_file(films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return report([films["restored"], films["low"], films["original"]], out, frames=5)


def content(page: Path) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def decoded(uri: str, folder: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    head, data = uri.split(",")
    file = folder / ("image." + head.split("/")[1].split(";")[0])
    file.write_bytes(base64.b64decode(data))
    return np.asarray(imread(file))[..., :3]


def rgb(film: Path, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return color.to_rgb(list(video.read(film))[number])


# ---- the file


def test_page_holds_lossless_pictures_of_every_input(films: dict[str, Path], page_file: Path, tmp_path: Path) -> None:
    data = content(page_file)
    assert [view["label"] for view in data["views"]] == [
        "restored.mp4", "low.mp4 (nearest)", "low.mp4 (bicubic)", "original.mkv"
    ]  # fmt: skip
    assert [frame["index"] for frame in data["frames"]] == [0, 6, 12, 17, 23]
    restored, nearest, _, original = (decoded(view["images"][2], tmp_path) for view in data["views"])
    assert np.array_equal(restored, rgb(films["restored"], 12))
    assert np.array_equal(original, rgb(films["original"], 12))
    assert np.array_equal(nearest, rgb(films["low"], 12).repeat(2, axis=0).repeat(2, axis=1))


def test_page_holds_the_scores_and_frame_types(films: dict[str, Path], page_file: Path) -> None:
    data = content(page_file)
    expected = metrics.score(films["restored"], films["original"], low=films["low"]).pooled
    scores = data["views"][0]["scores"]
    assert {key: scores[key] for key in expected.total.as_dict()} == json.loads(json.dumps(expected.total.as_dict()))
    assert scores["B"] == pytest.approx(expected.by_type["B"].rgb.psnr)
    assert len(data["views"][0]["psnr"]) == len(data["types"]) == 24
    assert data["types"] == "".join(frame.kind for frame in video.read(films["low"]))
    assert "scores" not in data["views"][1]
    assert data["views"][3]["reference"]


def test_temporal_profile_is_the_middle_row_of_every_frame(
    films: dict[str, Path], page_file: Path, tmp_path: Path
) -> None:
    profile = decoded(content(page_file)["views"][3]["profile"], tmp_path)
    assert np.array_equal(profile, [color.to_rgb(frame)[64] for frame in video.read(films["original"])])


def test_pictures_are_cut_so_that_the_page_fits(make_clip: MakeClip, tmp_path: Path) -> None:
    noise = [make_clip(f"{name}.mkv", "-vf", f"noise=alls={level}", size="640x360", frames=3, codec=("-c:v", "ffv1"))
             for name, level in (("a", 60), ("b", 70))]  # fmt: skip
    page = report(noise, tmp_path / "small.html", frames=3, megabytes=1.5)
    data = content(page)
    assert 0.6e6 < page.stat().st_size <= 1.5e6
    crop = data["crop"]
    assert 64 < crop["width"] < 640
    assert crop["x"] == (640 - crop["width"]) // 2
    assert data["overview"].startswith("data:image/jpeg")
    assert f"cut to {crop['width']} × {crop['height']}" in data["summary"]


def test_crop_and_reference_can_be_chosen(films: dict[str, Path], tmp_path: Path) -> None:
    page = report(
        [films["original"], films["restored"]],
        tmp_path / "page.html",
        reference=films["original"],
        frames=1,
        crop=Crop(40, 30, 100, 50),
        image_format="png",
    )
    data = content(page)
    picture = decoded(data["views"][1]["images"][0], tmp_path)
    assert np.array_equal(picture, rgb(films["restored"], 0)[50:80, 100:140])
    assert data["views"][0]["scores"]["psnr_rgb"] == "inf"
    assert data["types"] is None


def test_file_names_cannot_break_the_page(films: dict[str, Path], tmp_path: Path) -> None:
    hostile = tmp_path / SCRIPT.replace("/", "∕")
    hostile.symlink_to(films["restored"])
    text = report([hostile, films["original"]], tmp_path / "page.html", frames=1).read_text()
    assert "<script>document" not in text
    assert content(tmp_path / "page.html")["views"][0]["label"] == hostile.name


def test_what_does_not_fit_together_is_refused(films: dict[str, Path], make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(UsageError, match="needs at least two videos"):
        report([films["low"]], out)
    with pytest.raises(UsageError, match="0 frames in 15 MB cannot be shown"):
        report([films["low"], films["low"]], out, frames=0)
    with pytest.raises(UsageError, match=r"The crop 100x100\+100\+100 is not inside 192x128"):
        report([films["restored"], films["original"]], out, crop=Crop(100, 100, 100, 100))
    with pytest.raises(InputError, match=r"tall\.mkv is 100x200, another shape than 192x128"):
        report([make_clip("tall.mkv", size="100x200"), films["original"]], out)
    with pytest.raises(InputError, match=r"24 in restored\.mp4, 23 in fewer\.mkv\. They match best without"):
        report([films["restored"], make_clip("fewer.mkv", size="192x128", frames=23)], out)
    with pytest.raises(DiskError, match=r"page\.html cannot be written: No such file or directory"):
        report([films["low"], films["low"]], tmp_path / "missing" / "page.html", frames=1)
    assert not out.exists()


# ---- the browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page from file://; fails on any console message, script error or request beyond the file itself."""
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1100, "height": 800}}))
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith("data:") else None)
    page.goto(page_file.as_uri())
    page.wait_for_selector("body[data-frame='0']")
    yield page
    assert complaints == [page_file.as_uri()]
    context.close()


PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "is_mobile": True, "has_touch": True}
COLUMN = """([x, y]) => {
  const canvas = document.getElementById("picture"), scale = canvas.width / canvas.clientWidth;
  return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data.slice(0, 3)];
}"""


def value(page: Page, name: str) -> int:
    return int(page.get_attribute("#split", name) or -1)


def test_split_is_dragged_and_moved_by_keys(opened: Page) -> None:
    box = opened.locator("#stage").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    opened.mouse.move(box["x"] + box["width"] / 2, middle)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] / 4, middle, steps=3)
    opened.mouse.up()
    assert value(opened, "aria-valuenow") == 25
    opened.keyboard.press("ArrowRight")
    assert value(opened, "aria-valuenow") == 27
    opened.keyboard.press("End")
    assert value(opened, "aria-valuenow") == 100
    assert opened.get_attribute("#split", "aria-valuetext") == "100 % left, 0 % right"


def test_frames_are_stepped_by_keys_buttons_and_slider(opened: Page) -> None:
    opened.keyboard.press("ArrowRight")
    opened.wait_for_selector("body[data-frame='1']")
    opened.click("#next")
    opened.wait_for_selector("body[data-frame='2']")
    assert opened.inner_text("#frame-text").startswith("Frame 12 / 23 · ")
    assert opened.inner_text("#frame-text").endswith(" · 0.48 s")
    opened.fill("#frame", "4")
    opened.wait_for_selector("body[data-frame='4']")
    assert opened.is_disabled("#next")
    opened.click("#plot", position={"x": 60, "y": 100})
    opened.wait_for_selector("body[data-frame='0']")
    assert opened.is_disabled("#previous")


def test_whole_zoom_factors_show_the_pixels_as_they_are(opened: Page, films: dict[str, Path]) -> None:
    opened.keyboard.press("4")
    opened.keyboard.press("Shift+Digit1")
    for _ in range(3):
        opened.click("#in")
    zoom = int(opened.inner_text("#zoom-text").split()[0]) // 100
    assert zoom >= 6
    box = opened.locator("#picture").bounding_box()
    assert box is not None
    x, y = box["width"] / 4, box["height"] / 2
    opened.mouse.move(box["x"] + x, box["y"] + y)
    found = re.fullmatch(r"x (\d+), y (\d+): left RGB ([\d ]+), right RGB ([\d ]+)", opened.inner_text("#pixel"))
    assert found is not None
    column, row = int(found[1]), int(found[2])
    assert found[3] == " ".join(map(str, rgb(films["original"], 0)[row, column]))
    assert found[4] == " ".join(map(str, rgb(films["restored"], 0)[row, column]))
    assert opened.evaluate(COLUMN, [x, y]) == rgb(films["original"], 0)[row, column].tolist()


def test_pictures_are_chosen_swapped_and_told(opened: Page) -> None:
    opened.select_option("#left", label="low.mp4 (bicubic)")
    assert re.fullmatch(r"low\.mp4 \(bicubic\) +\d\d\.\d\d dB", opened.inner_text("#left-tag"))
    opened.locator("#left").blur()
    opened.keyboard.press("x")
    assert opened.inner_text("#left-tag") == "original.mkv (reference)"
    label = opened.get_attribute("#picture", "aria-label") or ""
    assert label.startswith("Left: original.mkv (reference). Right: low.mp4 (bicubic)")
    opened.check("input[value=ssim]", force=True)
    assert "SSIM" in (opened.get_attribute("#plot svg", "aria-label") or "")
    assert opened.locator("#plot .line").count() == 2
    assert opened.locator("#table tbody tr").count() == 2


@pytest.mark.parametrize("opened", [PHONE | {"color_scheme": "dark"}], indirect=True)
def test_phone_shows_everything_in_its_width(opened: Page, tmp_path: Path) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    box = opened.locator("#stage").bounding_box()
    assert box is not None
    opened.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert value(opened, "aria-valuenow") == 75
    opened.tap("#next")
    opened.wait_for_selector("body[data-frame='1']")
    opened.tap("#in")
    opened.wait_for_selector("#stage.zoomed")
    small = opened.evaluate(
        "[...document.querySelectorAll('button')].filter((b) => b.offsetWidth < 44 || b.offsetHeight < 44).length"
    )
    assert small == 0
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 24)"
    opened.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert imread(tmp_path / "phone.png").std() > 20
