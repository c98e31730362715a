"""The house: imports point down, three modules change the file system, and no file or function outgrows its reader."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import pytest

import mini_mlflow

PACKAGE = Path(mini_mlflow.__file__).resolve().parent
ROOT = Path(__file__).resolve().parent.parent

#: From the top down; what stands in one tuple does not import each other.
LAYERS: List[Tuple[str, ...]] = [
    ("__main__",), ("cli", "mlflow_plugin"), ("exchange",),
    ("fluent",), ("tracker",),
    (
        "tracker_search", "tracker_experiments", "tracker_experiment_changes", "tracker_trash", "tracker_artifacts",
        "tracker_amending",
    ),
    ("active",), ("run",), ("run_rewinding", "run_artifacts", "run_tags"), ("run_stack",), ("collecting",),
    ("upkeep",), ("reading", "writing"),
    ("formats",), ("disk",), ("entities",), ("errors",),
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
#: The only modules, or packages with all of theirs, that import a package from outside the standard library.
OUTSIDE = {
    "filelock": ["disk.locks"],
    "yaml": ["formats.documents"],
    "pyarrow": ["cli.parquet"],
    "mlflow": ["mlflow_plugin", "exchange.mlflow_server"],
}
#: The modules that change the file system: small files whole; copies of any size; what Python has no name for.
WRITERS = frozenset(["disk.atomic", "disk.copying", "disk.linux"])
#: What changes the file system through the writer's ``os``, so that faults strike there too.
BORROWER = "disk.in_place"
CHANGES = frozenset(
    "rename renames replace remove unlink rmdir removedirs mkdir makedirs mkfifo mknod link symlink truncate ftruncate "
    "fsync fdatasync sync write pwrite writev chmod fchmod chown lchown fchown utime open fdopen sendfile "
    "copy_file_range posix_fallocate".split()
)
OPENING_TO_READ = frozenset(["disk.regular"])
WRITERS_ELSEWHERE = frozenset(["shutil", "tempfile", "ctypes"])
METHODS_THAT_WRITE = frozenset("write_text write_bytes touch hardlink_to symlink_to".split())
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
DRAWERS = frozenset("utils util helpers helper common base manager misc core".split())
TOP_LEVEL = frozenset("pyproject.toml README.md LICENSE src tests stress examples".split())

Sources = Dict[str, str]


def read_sources() -> Sources:
    """Module name below mini_mlflow ("" is the package itself) to source."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


SOURCES = read_sources()


def imported(source: str) -> Iterator[str]:
    """The full names of all modules that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ("%s.%s" % (node.module, alias.name) for alias in node.names)


# -- the checks: each gives the places that break it ---------------------------------------------------------------


def find_upward_imports(sources: Sources) -> List[str]:
    found = []
    for module, source in sources.items():
        if not module:
            continue
        layer = module.partition(".")[0]
        for name in imported(source):
            target = name[len("mini_mlflow.") :].partition(".")[0] if name.startswith("mini_mlflow.") else ""
            if target in RANK and target != layer and RANK[target] <= RANK.get(layer, -1):
                found.append("%s imports %s" % (module, name))
    return found


def find_unknown_layers(sources: Sources) -> List[str]:
    return sorted({module.partition(".")[0] for module in sources if module} - set(RANK))


def find_outside_imports(sources: Sources) -> List[str]:
    return [
        "%s imports %s" % (module, name)
        for module, source in sources.items()
        for name in imported(source)
        if not any((module + ".").startswith(home + ".") for home in OUTSIDE.get(name.partition(".")[0], [module]))
    ]


def find_changes(sources: Sources) -> List[str]:
    """Calls and references outside of the writing modules that could change the file system."""
    found = []
    for module, source in sources.items():
        if module not in WRITERS:
            found += ["%s:%d %s" % (module, line, what) for line, what in _changes_in(module, ast.parse(source))]
    return found


def _changes_in(module: str, tree: ast.Module) -> Iterator[Tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            reads = node.attr == "open" and module in OPENING_TO_READ
            if node.attr in CHANGES and not reads:
                yield node.lineno, "os." + node.attr
        elif isinstance(node, ast.Attribute) and node.attr == "os" and module != BORROWER:
            yield node.lineno, "borrows os"
        elif isinstance(node, ast.Call):
            yield from _writing_calls(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                if name.partition(".")[0] in WRITERS_ELSEWHERE or (isinstance(node, ast.ImportFrom) and name == "os"):
                    yield node.lineno, "imports from " + name
            if [alias.name for alias in node.names] == ["linux"]:
                yield node.lineno, "imports disk.linux"


def _writing_calls(node: ast.Call) -> Iterator[Tuple[int, str]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in METHODS_THAT_WRITE:
        yield node.lineno, name
    if isinstance(node.func, ast.Name) and name == "open":
        mode = next((word.value for word in node.keywords if word.arg == "mode"), None) or (node.args[1:2] or [None])[0]
        if mode is not None and not _reads(mode):
            yield node.lineno, "open for writing"


def _reads(mode: ast.AST) -> bool:
    try:
        return set(ast.literal_eval(mode)) <= set("rbt")  # type: ignore[arg-type]
    except ValueError:
        return False


def find_long_files(sources: Sources) -> List[str]:
    return [module for module, source in sources.items() if source.count("\n") > LONGEST_FILE]


def find_long_functions(sources: Sources) -> List[str]:
    """Functions of too many lines, their docstring not counted: it grows with what it promises."""
    found = []
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _length(node) >= LONGEST_FUNCTION:
                found.append("%s.%s" % (module, node.name))
    return found


def _length(node: ast.AST) -> int:
    lines = {inner.lineno for inner in ast.walk(node) if hasattr(inner, "lineno")}
    body = getattr(node, "body", [])
    has_docstring = ast.get_docstring(node) is not None  # type: ignore[arg-type]
    start = body[1].lineno if has_docstring and len(body) > 1 else body[0].lineno
    return max(lines) - start + 1


def find_drawers(sources: Sources) -> List[str]:
    return [module for module in sources if DRAWERS & set(module.replace("_", ".").split("."))]


def find_strangers(paths: List[str]) -> List[str]:
    tops = {path.partition("/")[0] for path in paths}
    return sorted(top for top in tops if top not in TOP_LEVEL and not top.startswith("."))


# -- they hold, and each can fail ----------------------------------------------------------------------------------

CHECKS = [
    (find_upward_imports, {"run": "from mini_mlflow.tracker import ExperimentTracker"}),
    (find_upward_imports, {"reading.search": "import mini_mlflow.writing.folding"}),
    (find_upward_imports, {"formats.history": "def f():\n    from mini_mlflow.reading import search"}),
    (find_upward_imports, {"disk.keys": "from mini_mlflow import run_stack"}),
    (find_unknown_layers, {"drawer.things": ""}),
    (find_outside_imports, {"run": "import filelock"}),
    (find_outside_imports, {"tracker": "def f():\n    from mlflow.entities import Run"}),
    (find_outside_imports, {"writing.lifecycle": "def f():\n    from yaml import safe_load"}),
    (find_changes, {"disk.locks": "import os\nos.unlink('x')"}),
    (find_changes, {"run": "import os\nremove = os.remove"}),
    (find_changes, {"run": "import os\nos.open('x', 0)"}),
    (find_changes, {"run": "from os import replace"}),
    (find_changes, {"run": "import shutil"}),
    (find_changes, {"run": "import ctypes"}),
    (find_changes, {"writing.placing": "from mini_mlflow.disk import linux"}),
    (find_changes, {"run": "open('x', 'w')"}),
    (find_changes, {"run": "steps = atomic.os"}),
    (find_changes, {"run": "open('x', mode=how)"}),
    (find_changes, {"run": "Path('x').write_text('y')"}),
    (find_long_files, {"run": "x = 1\n" * (LONGEST_FILE + 1)}),
    (find_long_functions, {"run": "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION}),
    (find_long_functions, {"run": "class C:\n  def f(self):\n    '''Says.'''\n" + "    x = 1\n" * LONGEST_FUNCTION}),
    (find_drawers, {"disk.utils": ""}),
    (find_drawers, {"run_manager": ""}),
]


@pytest.mark.parametrize("check", sorted({check for check, _ in CHECKS}, key=lambda check: check.__name__))
def test_sources_keep_the_order_of_the_house(check: object) -> None:
    """No module of the package breaks the check."""
    assert check(SOURCES) == []  # type: ignore[operator]


@pytest.mark.parametrize(("check", "doctored"), CHECKS)
def test_check_finds_a_doctored_source(check: object, doctored: Sources) -> None:
    """Added to the real sources, a source that breaks the check is named, and nothing else is."""
    (found,) = check(doctored)  # type: ignore[operator]
    assert next(iter(doctored)).partition(".")[0] in found


def test_only_the_lock_module_opens_for_itself() -> None:
    """The checks see all of the package: its modules are there, and the writing one does write."""
    assert {"", "run", "disk.atomic", "disk.locks", "formats.history", "writing.run_files"} <= set(SOURCES)
    for writer in WRITERS:
        assert find_changes({"elsewhere": SOURCES[writer]}) != []


def test_top_level_holds_nothing_but_what_belongs_there() -> None:
    """Besides dot files: the project file, the README, the licence, and the four folders."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert find_strangers(listing.stdout.decode("utf-8").strip("\0").split("\0")) == []
    assert find_strangers(["README.md", ".ci/run", "src/x.py", "notes.md", "scripts/x"]) == ["notes.md", "scripts"]
