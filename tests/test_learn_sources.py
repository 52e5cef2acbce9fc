"""Which films and photographs, from arguments and lists; their shots."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from conftest import MakeClip, ffmpeg
from subpixel import video
from subpixel.errors import InputError, UsageError
from subpixel.learn import sources
from subpixel.learn.sources import Shot, Source, gather, scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Empty files with the names of films, photographs and something else."""
    for name in ("films/a.mp4", "films/deep/b.mkv", "films/notes.txt", "photos/c.jpg", "photos/d.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def listed(folder: Path, text: str) -> list[Source]:
    (folder / "list.toml").write_text(text)
    return gather([folder / "list.toml"])


def test_folders_are_searched_and_every_file_counts_once(folder: Path) -> None:
    found = gather([folder / "photos", folder / "films", folder / "films" / "a.mp4"])
    assert [source.label for source in found] == ["a", "b", "c", "d"]
    assert [source.photo for source in found] == [False, False, True, True]
    assert [source.treatment for source in found] == ["film", "film", "mix", "mix"]
    assert gather([folder / "films" / "a.mp4", folder]) == found


def test_a_file_belongs_to_the_first_entry_that_names_it(folder: Path) -> None:
    first = '[[source]]\nfiles = ["films/a*"]\ncrop = [0, 0, 0.5, 1]\nstart = 1\nend = 2.5\ntreatment = "master"\n'
    found = listed(folder, first + '[[source]]\nfiles = ["films/**/*.m*", "photos/c.jpg"]\nscene = "street"\n')
    assert [(s.label, s.crop, s.start, s.end, s.treatment, s.scene) for s in found] == [
        ("a", (0, 0, 0.5, 1), 1, 2.5, "master", "a"),
        ("b", (0, 0, 1, 1), 0, None, "film", "street"),
        ("c", (0, 0, 1, 1), 0, None, "mix", "street"),
    ]


def test_patterns_start_at_the_root(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "list.toml"
    path.write_text('[[source]]\nfiles = ["films/*.mp4"]\n')
    assert [source.label for source in gather([path], folder)] == ["a"]
    with pytest.raises(InputError, match=r"Source 1 of .*list\.toml: 'films/\*\.mp4' names no file in .*elsewhere"):
        gather([path])


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            "corp = [0, 0, 1, 1]",
            "Source 1 of .* has an unknown key 'corp'; the keys are files, crop, start, end, treatment",
        ),
        ("crop = [0.5, 0, 0.2, 1]", r"crop is left, top, right, bottom from 0 to 1, not \[0\.5, 0, 0\.2, 1\]"),
        ("crop = [0, 0, 1]", "crop is left, top, right, bottom from 0 to 1, not"),
        ("crop = 0.5", "crop must be a list of four fractions"),
        ("start = true", "start must be a number"),
        ("start = 3\nend = 2", "end must come after start, and start not before 0"),
        ('treatment = "magic"', "treatment is one of film, master, mix, handheld, .*, not 'magic'"),
        ('treatment = "titles"', r"a\.mp4 is a film: its treatment is one of film, master, not 'titles'"),
        ("scene = 3", "scene must be text"),
    ],
)
def test_a_list_that_is_wrong_is_told_why(folder: Path, entry: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        listed(folder, f'[[source]]\nfiles = ["films/a.mp4"]\n{entry}\n')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[source]]\nscene = "x"\n', r'Source 1 of .* names no files; add files = \["folder/\*\.mp4"\]'),
        ("[other]\n", r"consists of \[\[source\]\] entries and nothing else, not other"),
        ("source = [3]\n", r"Source 1 of .* is no table; write \[\[source\]\]"),
        ("source = [\n", r"The list .* cannot be read"),
    ],
)
def test_a_list_that_is_no_list_is_told_why(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        listed(folder, text)


def test_files_that_cannot_be_sources_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4 cannot be read: there is no such file"):
        gather([folder / "gone.mp4"])
    with pytest.raises(InputError, match=r"notes\.txt is neither a film nor a photograph by its name"):
        gather([folder / "films" / "notes.txt"])
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"The folder .*empty holds no films and no photographs"):
        gather([folder / "empty"])
    (folder / "photos" / "a.jpg").touch()
    with pytest.raises(UsageError, match=r"a\.mp4 and .*a\.jpg would make clips of the same name; rename one of them"):
        gather([folder])


def test_a_film_is_cut_where_its_scenes_change(cut_clip: Path) -> None:
    digest, shots = scan(Source(cut_clip))
    assert [shot.frames for shot in shots] == [30, 30]
    assert digest == scan(Source(cut_clip))[0]
    second = next(sources.read(Source(cut_clip), shots[1]))
    expected = next(itertools.islice(video.read(cut_clip), 30, None))
    assert np.array_equal(second.planes[0], expected.planes[0])


def test_long_shots_are_divided_and_short_ones_left_out(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LONGEST", 64)
    assert [shot.frames for shot in scan(Source(film))[1]] == [60, 64, 64, 36, 64, 16]
    monkeypatch.setattr(sources, "SHORTEST", 61)
    assert [shot.frames for shot in scan(Source(film))[1]] == [64, 64, 64]


def test_start_and_end_bound_the_shots(film: Path) -> None:
    _, shots = scan(Source(film, start=1.0, end=4.0))
    assert [shot.frames for shot in shots] == [35, 40]
    _, all_of_it = scan(Source(film))
    read = list(sources.read(Source(film, end=4.0), all_of_it[1]))
    assert [f.pts for f in read] == [f.pts for f in itertools.islice(video.read(film), 60, 100)]
    assert len(read) == 40


def test_a_film_without_a_long_shot_is_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no shot of 12 frames; leave it out"):
        scan(Source(make_clip("short.mp4", frames=5)))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", tmp_path / "photo.png")
    assert scan(Source(tmp_path / "photo.png"))[1] == [Shot(0.0, 1)]
