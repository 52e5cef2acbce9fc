"""The house rules of CONTRIBUTING.md, held by reading the source."""

import ast
import graphlib
import importlib
import json
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "subpixel"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "migrations")  # Django writes those
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}

# A module imports only from groups above its own, or from its own package.
ORDER = [
    {"errors"},
    {"frames", "stop"},
    {"resample"},
    {"color", "priors"},
    {"video"},
    {"pictures"},
    {"upsample"},
    {"degrade", "metrics"},
    {"models"},
    {"weights"},
    {"engines", "ensemble", "tiles"},
    {"register"},
    {"recurrent", "zoo"},
    {"multiframe"},
    {"restore"},
    {"arrays", "chunks", "journal", "outcome"},
    {"plan"},
    {"job"},
    {"estimate"},
    {"compare"},
    {"learn"},
    {"challenge"},
    {"site"},
    {"cli"},
    {"__main__"},
]
RANK = {module: rank for rank, group in enumerate(ORDER) for module in group}
ROOT_MODULE = "__init__"  # loads the public names on demand, so that everything may import its __version__

PUBLIC = [
    "Color",
    "Encoding",
    "Frame",
    "Keep",
    "Progress",
    "Recipe",
    "Report",
    "Score",
    "SubpixelError",
    "degrade",
    "restore",
    "score",
    "upscale",
]


def name(path: Path) -> str:
    """Dotted module name below the package: "video.read", "video" for its __init__, "__init__" for the root."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name(path) for path in SOURCES}


def part(module: str) -> str:
    """The member of ORDER a module belongs to."""
    return module.split(".")[0]


def below_package(dotted: str) -> str | None:
    """Longest known module that a dotted import path names, None for other packages."""
    if dotted != "subpixel" and not dotted.startswith("subpixel."):
        return None
    parts = dotted.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts) or ROOT_MODULE


def imported(tree: ast.AST) -> Iterator[str]:
    """Every dotted path a file imports, wherever in the file; `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the order"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


EDGES = {
    name(path): {target for dotted in imported(tree) if (target := below_package(dotted))} - {name(path)}
    for path, tree in TREES.items()
    if name(path) != ROOT_MODULE
}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions of the module and methods of its classes whose name, and whose class's name, is public."""
    for scope in [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_"))]:
        found = (n for n in scope.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_"))
        yield from (n for n in found if "overload" not in {ast.unparse(d) for d in n.decorator_list})


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from def to the end without the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
    return lines


def tracked() -> list[Path]:
    """Text files under version control."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / entry for entry in listing.decode().split("\0") if entry]
    return [p for p in paths if p.is_file() and b"\0" not in p.read_bytes()[:8000]]


def test_every_module_has_a_place_in_the_order() -> None:
    assert {part(module) for module in MODULES} - {ROOT_MODULE} <= RANK.keys()


@pytest.mark.parametrize("module", sorted(EDGES))
def test_imports_follow_the_order(module: str) -> None:
    others = {target for target in EDGES[module] if part(target) not in (part(module), ROOT_MODULE)}
    wrong = {target for target in others if RANK[part(target)] >= RANK[part(module)]}
    assert not wrong, f"{module} imports {sorted(wrong)}, which stand right of it in the order"


def test_no_import_cycles() -> None:
    among = {module: targets - {ROOT_MODULE} for module, targets in EDGES.items()}
    graphlib.TopologicalSorter(among).prepare()  # raises CycleError with the cycle in it


def test_only_video_imports_av() -> None:
    users = {name(path) for path, tree in TREES.items() if any(d.split(".")[0] == "av" for d in imported(tree))}
    assert {part(module) for module in users} == {"video"}


def test_files_are_short() -> None:
    code = [*SOURCES, *(ROOT / "tests").glob("*.py"), *(ROOT / "bench").glob("*.py")]
    lines = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8").count("\n") for p in code}
    assert {p: n for p, n in lines.items() if n > 400} == {}


def test_functions_are_short() -> None:
    lengths = {f"{name(p)}.{f.name}": length(f) for p, tree in TREES.items() for f in functions(tree)}
    long = sorted(f for f, n in lengths.items() if n > 50)
    assert statistics.median(lengths.values()) <= 10
    assert len(long) <= 0.04 * len(lengths), f"over 50 lines: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_public_functions_are_typed_and_documented(path: Path) -> None:
    for function in public_functions(TREES[path]):
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        untyped = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        assert not untyped, f"{function.name}: no type for {untyped}"
        assert function.returns is not None, f"{function.name}: no return type"
        assert ast.get_docstring(function), f"{function.name}: no docstring"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.stat().st_size], ids=name)
def test_modules_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), "no module docstring"


def test_base_install_is_small() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(project["dependencies"]) <= 7
    assert not any(re.match("torch|onnx\\b|openvino", d) for d in project["dependencies"])


def test_help_loads_nothing_heavy() -> None:
    """A command that only prints help must not wait for networks or codecs to load."""
    code = (
        "import sys, json, subpixel.cli as c\n"
        "sys.argv = ['subpixel', '--help']\n"
        "try: c.main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "upscale" in done.stdout
    assert not loaded & {"torch", "av", "onnxruntime", "openvino", "onnx", "numpy", "django"}


def test_public_names_are_these() -> None:
    import subpixel

    assert sorted(subpixel.__all__) == sorted([*PUBLIC, "__version__"])
    elsewhere = {m for m in MODULES if m.startswith("learn.megengine.")}  # runs in another environment
    for module in sorted(MODULES - elsewhere - {"__main__"}):  # none must take the place of a function of its name
        importlib.import_module(f"subpixel.{module}")
    assert all(callable(getattr(subpixel, public)) for public in PUBLIC)


def test_version_is_the_changelogs() -> None:
    import subpixel

    released = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert released is not None
    assert released[1] == subpixel.__version__


def readme_map() -> set[str]:
    """Paths below the package that the README's tree shows; folders are lines that end in a slash."""
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("```\nsrc/subpixel/\n")[1].split("```")[0]
    folder, paths = "", set()
    for line in tree.splitlines():
        entry = line.split()[0]
        depth = len(line) - len(line.lstrip())
        folder = entry if depth == 2 and entry.endswith("/") else folder if depth == 4 else ""
        paths.add(folder + entry if depth == 4 else entry)
    return paths


def test_readme_maps_every_module() -> None:
    files = {str(p.relative_to(PACKAGE)) for p in SOURCES if p.stat().st_size and p.name != "__main__.py"}
    assert {path for path in readme_map() if path.endswith(".py")} == files


def test_the_project_speaks_of_itself_alone() -> None:
    """No absolute path of a developer's machine, no note to self."""
    words = re.compile(r"(?<![\w.}])/(?i:work|root|home|users|mnt|data)/|\b(TODO|FIXME)\b")
    here = Path(__file__).resolve()
    found = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        if path != here
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    }
    assert found == set()
