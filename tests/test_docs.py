"""Documentation is tested like code: what it shows runs, what exists is in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MANUAL = ROOT / "docs" / "use.md"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def cut(source: Path, target: Path, *options: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-map", "0", *options, target], check=True)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages assume: half a second of the sample clip and of its original, and a folder of two clips."""
    folder = tmp_path_factory.mktemp("clips")
    samples = ROOT / "samples"
    cut(samples / "bunny.mp4", folder / "clip.mp4", "-t", "0.5", "-c", "copy", "-c:v", "libx264", "-crf", "21")
    cut(samples / "bunny-original.webm", folder / "original.webm", "-c", "copy", "-t", "0.5")
    (folder / "clips").mkdir()
    shutil.copy(folder / "clip.mp4", folder / "clips" / "one.mp4")
    other = "-ss", "1", "-t", "0.5", "-c", "copy", "-c:v", "libx264", "-crf", "21"
    cut(samples / "bunny.mp4", folder / "clips" / "two.mp4", *other)
    return folder


@pytest.fixture
def place(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh current folder with those clips; the commands of this environment come first on the PATH."""
    shutil.copytree(clips, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def commands() -> dict[str, Any]:
    """Every command by its name, those of groups as "group command", as typer hands them to its parser."""
    from subpixel.cli import app

    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    while waiting:
        prefix, group = waiting.pop()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                waiting.append((f"{prefix}{name} ", command))
            else:
                found[prefix + name] = command
    return found


def own_options(command: Any) -> list[Any]:
    """The options of a command that a user sees, without --help."""
    return [p for p in command.params if p.param_type_name == "option" and not p.hidden and p.name != "help"]


def section(command: str) -> str:
    """The part of the manual under the heading that names the command."""
    text = MANUAL.read_text(encoding="utf-8")
    match = re.search(rf"^## `subpixel {command}`$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert match is not None, f"docs/use.md has no section ## `subpixel {command}`"
    return match[1]


def options(command: Any) -> set[str]:
    """Every spelling of every option of a command."""
    return {spelling for p in own_options(command) for spelling in (*p.opts, *p.secondary_opts)}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "console")], ids=lambda p: p.name)
def test_console_blocks_run(page: Path, place: Path, request: pytest.FixtureRequest) -> None:
    """Lines that begin with `$ ` run in order in one folder; the first that fails fails the page.

    A TOML block that begins with a comment of nothing but a file's name is that file.
    """
    for block in blocks(page, "toml"):
        if named := re.match(r"# (\S+\.toml)\n", block):
            (place / named[1]).write_text(block)
    lines = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    if any(line.startswith(".venv-mge/") for line in lines):  # skipped, and said at the end, where there is none
        (place / ".venv-mge").symlink_to(request.getfixturevalue("megengine").parent.parent)
    script = "\n".join(line for line in lines if not line.startswith(("make ", "git ", "cd ", "pip ")))
    done = subprocess.run(["bash", "-exo", "pipefail", "-c", script], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, place: Path) -> None:
    """The blocks of a page share one namespace, as a reader typing them would have it."""
    script = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_command_has_its_section_and_no_other() -> None:
    documented = re.findall(r"^## `subpixel ([\w -]+)`$", MANUAL.read_text(encoding="utf-8"), re.M)
    assert sorted(documented) == sorted(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_documented_and_exists(name: str) -> None:
    text = section(name)
    have = options(commands()[name])
    shown = set(re.findall(r"(?<![\w-])(--?[a-z][a-z0-9-]*)", " ".join(re.findall(r"`[^`\n]+`", text))))
    assert {o for o in have if o not in shown} == set(), "not in docs/use.md"
    assert {o for o in shown if o.startswith("--") and o not in have} == {"--help"} & shown, "no such option"


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_has_help(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert [p.name for p in own_options(command) if not p.help] == []


def test_every_exit_code_is_documented() -> None:
    from subpixel import errors

    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SubpixelError)}
    assert {code for code in codes | {0, 130, 143} if not re.search(rf"^\| {code} \|", text, re.M)} == set()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "THIRD_PARTY.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [t for t in targets if "://" not in t]
    assert [t for t in local if not (page.parent / t).exists()] == []
