"""The command line as a process: exit codes, pipes, terminals, full disks, interrupts, and the shell's completion."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from command_line import call
from concurrency import DEADLINE_S, hear_interrupts, import_path, run_python
from mini_mlflow import ExperimentTracker
from mini_mlflow.cli.exit_codes import DONE, FAILED, INTERRUPTED, PIPE_CLOSED

COMMAND = [sys.executable, "-m", "mini_mlflow"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    with ExperimentTracker(run_name="名前").start_run(run_id="long") as run:
        run.log_params({"param-%03d" % number: "x" * 300 for number in range(300)})
        run.log_metrics({"loss": 0.5, "b": 1.0})
    return tmp_path / "mlruns"


def environment(**more: str) -> Dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM")}
    return dict(known, PYTHONPATH=import_path(), **more)


def run(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [*COMMAND, *argv],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=DEADLINE_S,
        **options,
    )


def test_process_says_what_main_says(tree: Path) -> None:
    """Output, messages and exit code of the process are those of `main`, for an answer and for an error."""
    for argv in (["show", "long", "--json"], ["show", "missing"]):
        done, called = run(*argv), call(*argv)
        assert (done.returncode, done.stdout, done.stderr) == called[:3]
    assert call("show", "missing").code == FAILED


def test_closed_pipe_ends_it_quietly(tree: Path) -> None:
    """What `head` leaves unread is not complained of; the code is that of a program that SIGPIPE has killed."""
    script = '%s show long | head -n 1; echo "${PIPESTATUS[0]}"' % " ".join(COMMAND)
    done = subprocess.run(["bash", "-c", script], env=environment(), capture_output=True, timeout=DEADLINE_S)
    assert done.stdout.decode().splitlines()[1:] == [str(PIPE_CLOSED)]
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_full_disk_below_the_output_is_an_error(tree: Path) -> None:
    """Of an output that is larger than a buffer, and of one that is not written before the end."""
    for argv in (["show", "long"], ["ls", "--ids"]):
        with open("/dev/full", "w") as full:
            done = run(*argv, stdout=full)
        assert (done.returncode, done.stderr) == (FAILED, "mini-mlflow: standard output: No space left on device\n")


def on_terminal(argv: List[str], columns: int = 60) -> str:
    """What the command shows on a terminal of so many columns; it must succeed."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, *argv],
            env=environment(COLUMNS=str(columns), TERM="xterm"),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
    finally:
        os.close(theirs)
    shown = b""
    try:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                # EIO is how Linux says that the other side has no user left.
                break
            if not piece:
                break
            shown += piece
        assert process.wait(DEADLINE_S) == DONE
        assert process.stderr is not None
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        if process.stderr is not None:
            process.stderr.close()
    return shown.decode("utf-8").replace("\r\n", "\n")


def test_terminal_gets_colours_and_lines_that_fit(tree: Path) -> None:
    shown = on_terminal(["show", "long"])
    assert "\x1b[32mFINISHED\x1b[0m" in shown
    plain = re.sub(r"\x1b\[\d+m", "", shown)
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) == 60


def test_interrupt_from_the_keyboard(tree: Path) -> None:
    """SIGINT ends `watch` with 130, without a traceback, and what it had found is out."""
    with ExperimentTracker().start_run(run_id="open"):
        process = subprocess.Popen(
            [*COMMAND, "watch", "--json", "--interval", "60"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=hear_interrupts,
        )
        try:
            assert process.stdout is not None
            assert b'"open"' in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, stderr) == (INTERRUPTED, b"")


def test_help_does_not_import_what_does_the_work() -> None:
    """Neither the tracker, nor locks, nor YAML; that is what makes help and completion quick."""
    code = """
        import sys
        from mini_mlflow.cli import main
        main(["--help"])
        main(["show", "--help"])
        print("loaded:", *sorted(sys.modules))
    """
    loaded = run_python(code).stdout.rpartition("loaded:")[2].split()
    assert "mini_mlflow.cli.showing" in loaded
    heavy = ("tracker", "run", "writing", "reading", "upkeep", "disk.locks", "disk.atomic")
    assert [name for name in heavy if "mini_mlflow." + name in loaded] == []
    assert [name for name in ("yaml", "filelock", "csv", "pyarrow", "subprocess") if name in loaded] == []


# -- completion ----------------------------------------------------------------------------------------------------

NAMED = "$(touch owned)`touch owned`"


def complete(line: str, cwd: Path) -> List[str]:
    """What bash offers for the last word of a line without quotes."""
    return complete_words(line.split(" "), cwd)


def complete_words(words: List[str], cwd: Path) -> List[str]:
    """What bash offers for the last of some words, as the script that the command prints teaches it."""
    script = """
        mini-mlflow() { "$PYTHON" -m mini_mlflow "$@"; }
        eval "$(mini-mlflow completion bash)"
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _mini_mlflow
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        cwd=str(cwd),
        env=environment(PYTHON=sys.executable),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return sorted(filter(None, done.stdout.split("\n")))


@pytest.mark.long
def test_bash_completes_commands_options_and_values(tree: Path, tmp_path: Path) -> None:
    assert complete("mini-mlflow sh", tmp_path) == ["show"]
    assert complete("mini-mlflow --j", tmp_path) == ["--json"]
    assert complete("mini-mlflow export --po", tmp_path) == ["--points"]
    assert complete("mini-mlflow export --format p", tmp_path) == ["parquet"]
    assert complete("mini-mlflow completion ", tmp_path) == ["bash", "fish", "zsh"]
    assert complete("mini-mlflow --runs-dir ml", tmp_path) == ["mlruns"]


@pytest.mark.long
def test_bash_completes_run_ids_as_text(tmp_path: Path) -> None:
    """Ids come from the tree that the line names, and are never run: they are quoted for the line that is typed."""
    tracker = ExperimentTracker(runs_dir="else where")
    for run_id in (NAMED, "my run", "mine"):
        with tracker.start_run(run_id=run_id):
            pass
    words = ["mini-mlflow", "--runs-dir", "else where", "show"]
    assert complete_words([*words, "m"], tmp_path) == ["mine", "my\\ run"]
    assert complete_words([*words, "$"], tmp_path) == ["\\$\\(touch\\ owned\\)\\`touch\\ owned\\`"]
    assert complete_words([*words, ""], tmp_path) != []
    assert not (tmp_path / "owned").exists()


def test_names_in_every_script_on_a_terminal_that_knows_none(tree: Path) -> None:
    """Where the encoding has no such character, its escape is shown; nothing fails."""
    done = subprocess.run(
        [*COMMAND, "ls", "-c", "name"],
        env=environment(PYTHONIOENCODING="ascii"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (DONE, b"")
    assert done.stdout.decode("ascii").splitlines() == ["name", "\\u540d\\u524d"]
