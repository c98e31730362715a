"""The README: its code prints what it says, its commands are the ones in use, its files look as it shows them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Set

import pytest

import mini_mlflow
from concurrency import run_python
from mini_mlflow import ExperimentTracker
from mini_mlflow.cli.commands import COMMANDS
from mini_mlflow.cli.parser import build_parser

pytestmark = pytest.mark.program

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")


class Block(NamedTuple):
    name: str
    language: str
    content: str


def find_blocks() -> List[Block]:
    """The fenced blocks; one after a line ``<!-- block: name -->`` has that name, others their number."""
    pattern = re.compile(r"(?:<!-- block: (\w+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = pattern.findall(TEXT)
    return [Block(name or str(number), language, content) for number, (name, language, content) in enumerate(found)]


BLOCKS = find_blocks()
#: What reads the tree that the block "finding" makes, and what each of them needs.
RECIPES = {"jq": "jq", "grep": "grep", "duckdb": "duckdb", "pandas": "pandas"}
PYTHON = [block for block in BLOCKS if block.language == "python" and block.name not in RECIPES]


def named(name: str) -> Block:
    (block,) = [block for block in BLOCKS if block.name == name]
    return block


def run_block(block: Block, folder: Path, more: str = "", check: bool = True) -> Any:
    script = folder / "example.py"
    script.write_text(block.content + more, encoding="utf-8")
    return run_python(script, cwd=folder, check=check)


def test_blocks_are_all_of_known_languages() -> None:
    """No block escapes these tests by its language."""
    assert {block.language for block in BLOCKS} == {"python", "sh", "text", "json"}
    assert len(PYTHON) >= 10


def mark(block: Block) -> Any:
    """The block as a test's parameter; the one that damages its tree is not to leave a whole one."""
    return pytest.param(block, id=block.name, marks=[pytest.mark.damaged_tree] if block.name == "damage" else [])


@pytest.mark.parametrize("block", [mark(block) for block in PYTHON])
def test_python_block_prints_what_it_says(block: Block, tmp_path: Path) -> None:
    """Each line that ends in ``# -> text`` has printed that text, and nothing else was printed."""
    done = run_block(block, tmp_path)
    assert done.stdout.splitlines() == re.findall(r"# -> (.*)$", block.content, re.MULTILINE)
    assert done.stderr == ""


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_prints_what_it_says(name: str, tmp_path: Path) -> None:
    """Each command, and each program that reads the files on its own, prints what stands behind it."""
    block = named(name)
    missing = shutil.which(RECIPES[name]) is None if block.language == "sh" else find_spec(RECIPES[name]) is None
    if missing:
        pytest.skip("%s is not installed" % RECIPES[name])
    run_block(named("finding"), tmp_path)
    if block.language == "sh":
        done = subprocess.run(["sh", "-e", "-c", block.content], cwd=str(tmp_path), capture_output=True, text=True)
    else:
        done = run_block(block, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == re.findall(r"# -> (.*)$", block.content, re.MULTILINE)


def test_error_of_a_filter_is_shown_as_it_is() -> None:
    (shown,) = [block.content for block in BLOCKS if block.content.startswith("mini_mlflow.errors.")]
    with pytest.raises(mini_mlflow.InvalidFilterError) as caught:
        ExperimentTracker().search_runs(shown.splitlines()[1].strip())
    assert "mini_mlflow.errors.InvalidFilterError: %s\n" % caught.value == shown


def test_signal_handler_logs_and_ends_the_run(tmp_path: Path) -> None:
    """Sent SIGTERM, the block's process ends its run as KILLED, logs how far it came, and exits with 143."""
    more = "import os\nos.kill(os.getpid(), signal.SIGTERM)\nprint('never')\n"
    done = run_block(named("signals"), tmp_path, more, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
    run = ExperimentTracker(runs_dir=tmp_path / "mlruns").get_run("job-17")
    assert (run["metadata"]["status"], run["metrics"]["stopped_at"]) == ("KILLED", 99.0)


def test_commands_are_those_that_ci_uses() -> None:
    """Set-up and tests are spelled as in .ci/run; what else is run is a file or a package, our own command line, or
    installs an extra."""
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    blocks = [block for block in BLOCKS if block.language == "sh" and block.name not in RECIPES]
    commands = [line for block in blocks for line in block.content.splitlines()]
    assert len(commands) >= 15
    extras = re.findall(r"^(\w+) = \[$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    for command in commands:
        python, *arguments = shlex.split(command.partition(" --")[0])
        if python == "mini-mlflow":
            assert build_parser(COMMANDS).parse_args(shlex.split(command)[1:]).command is not None
        elif python == "pip":
            assert arguments[:2] == ["install", "-e"]
            assert arguments[2].strip(".[]") in extras
        elif command not in ci:
            assert python.endswith("python")
            assert (ROOT / arguments[-1]).is_file() or (ROOT.joinpath(*arguments[1:]) / "__init__.py").is_file()


def paths_in_drawing(drawing: str) -> Set[str]:
    """The paths in a drawing of a tree: each level is four characters further in."""
    paths: Set[str] = set()
    above: List[str] = []
    for line in drawing.splitlines():
        indent, name = re.match(r"([│├└─\s]*)(.*)$", line).groups()  # type: ignore[union-attr]
        above[len(indent) // 4 :] = [name.rstrip("/")]
        paths.add("/".join(above) + ("/" if name.endswith("/") else ""))
    return paths


def test_tree_is_drawn_as_it_is(tmp_path: Path) -> None:
    """After the first block, exactly the drawn files and folders stand on disk."""
    run_block(named("first"), tmp_path)
    (run_id,) = ExperimentTracker(runs_dir=tmp_path / "mlruns").list_runs()
    real = {
        path.relative_to(tmp_path).as_posix().replace(run_id, "<run_id>") + ("/" if path.is_dir() else "")
        for path in tmp_path.rglob("*")
        if path.name != "example.py"
    }
    (drawing,) = [block.content for block in BLOCKS if block.content.startswith("mlruns/")]
    assert paths_in_drawing(drawing) == real


def test_document_is_shown_as_it_is(tmp_path: Path) -> None:
    """The metric's document in the README is the one that the first block makes, but for its times."""
    run_block(named("first"), tmp_path)
    (path,) = (tmp_path / "mlruns").rglob("loss.json")
    (shown,) = [block.content for block in BLOCKS if block.language == "json"]

    def without_times(text: str) -> List[str]:
        fields: Dict[str, Any] = json.loads(text)
        del fields["timestamp"]
        points = [[step, value] for step, value, _ in fields.pop("points")]
        return [*map(repr, fields.items()), repr(points), str(text.count("\n"))]

    assert without_times(shown) == without_times(path.read_text("utf-8"))


def test_names_in_the_readme_exist() -> None:
    """Errors, settings and modules that the README names are there."""
    for name, also in re.findall(r"^\| `(\w+(?:Error|Timeout))` +\| ([^|]*)\|", TEXT, re.MULTILINE):
        error = getattr(mini_mlflow, name)
        assert issubclass(error, mini_mlflow.MiniMlflowError)
        for built_in in re.findall(r"`(\w+)`", also):
            assert issubclass(error, getattr(__import__("builtins"), built_in))
    sources = Path(mini_mlflow.__file__).parent
    code = "".join(path.read_text("utf-8") for path in sources.rglob("*.py"))
    for variable in re.findall(r"MINI_MLFLOW_\w+", TEXT):
        assert variable in code
    (walk,) = [block.content for block in BLOCKS if block.content.startswith("fluent.log_metric")]
    for owner, function in re.findall(r"^ *(\w+)\.(\w+) ", walk, re.MULTILINE):
        assert "class %s" % owner in code or list(sources.rglob(owner + ".py"))
        assert "def %s(" % function in code
    modules = TEXT[TEXT.index("## Reading the source") : TEXT.index("## Trees of 0.1.0")]
    for name in re.findall(r"`((?:disk|formats|writing|reading|upkeep)/\w*)`", modules):
        assert (sources / (name + ".py")).is_file() or (sources / name).is_dir()


def test_every_public_error_is_in_the_table() -> None:
    """The errors table lists all that the package exports, but the base class and the warnings."""
    exported = {name for name in mini_mlflow.__all__ if isinstance(getattr(mini_mlflow, name), type)
                and issubclass(getattr(mini_mlflow, name), mini_mlflow.MiniMlflowError)}  # fmt: skip
    assert set(re.findall(r"^\| `(\w+(?:Error|Timeout))` ", TEXT, re.MULTILINE)) == exported - {"MiniMlflowError"}
