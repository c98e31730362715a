"""The only places where tests start threads and processes, so that none outlives its test or fails unseen.

Nothing but the standard library is imported here: spawned children import this module too.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Type, Union

DEADLINE_S = 60.0

if sys.version_info >= (3, 9):
    CompletedText = subprocess.CompletedProcess[str]
else:
    CompletedText = subprocess.CompletedProcess


def hear_interrupts() -> None:
    """For a new process before its program begins: SIGINT does what it does in a terminal.

    A shell starts what it puts into the background with SIGINT ignored, tests too, and that is inherited.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_together(*functions: Callable[[], Any], deadline_s: float = DEADLINE_S) -> List[Any]:
    """Every function has run in a thread of its own, all let go at once; what they returned, in their order.

    Raises:
        AssertionError: a thread still runs after ``deadline_s``; the message shows where it stands.
        BaseException: the first that a function raised, in the order of time.
    """
    barrier = threading.Barrier(len(functions))
    results: List[Any] = [None] * len(functions)
    errors: List[BaseException] = []

    def work(index: int) -> None:
        try:
            barrier.wait(deadline_s)
            results[index] = functions[index]()
        except BaseException as error:
            errors.append(error)

    # Daemons: a thread that hangs must not keep the interpreter from reporting it.
    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(len(functions))]
    deadline = time.monotonic() + deadline_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    hanging = [thread for thread in threads if thread.is_alive()]
    if hanging and not errors:
        raise AssertionError("%d threads hang:\n%s" % (len(hanging), "\n".join(map(_where, hanging))))
    if errors:
        raise errors[0]
    return results


def _where(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else "(gone)"


def import_path() -> str:
    """A PYTHONPATH on which a child finds the same mini_mlflow, and the tests' own modules."""
    import mini_mlflow

    package = os.path.dirname(os.path.dirname(os.path.abspath(mini_mlflow.__file__)))
    here = os.path.dirname(os.path.abspath(__file__))
    return os.pathsep.join([package, here, *filter(None, [os.environ.get("PYTHONPATH")])])


def run_python(
    code_or_path: Union[str, os.PathLike[str]],
    *args: str,
    env: Optional[Mapping[str, Optional[str]]] = None,
    cwd: Union[str, os.PathLike[str], None] = None,
    check: bool = True,
    timeout: float = DEADLINE_S,
) -> CompletedText:
    """What another interpreter of the same version did with a script, in text.

    Args:
        code_or_path: a ``os.PathLike`` is a script's path, a str is code (indented as one likes).
        args: the script's arguments.
        env: added to the environment; None as a value removes the name.
        cwd: its working folder; None for the caller's.
        check: assert that it exits with 0.
        timeout: seconds after which it is killed and subprocess.TimeoutExpired raised.
    """
    environment: Dict[str, str] = dict(os.environ, PYTHONPATH=import_path())
    for name, value in (env or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    command = [sys.executable]
    command += ["-c", textwrap.dedent(code_or_path)] if isinstance(code_or_path, str) else [os.fspath(code_or_path)]
    done = subprocess.run(
        [*command, *args],
        cwd=None if cwd is None else os.fspath(cwd),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check:
        assert done.returncode == 0, "exit code %d\n%s%s" % (done.returncode, done.stdout, done.stderr)
    return done


class Children:
    """Processes of multiprocessing, all reaped when the block is left, each with the exit code that was announced.

    ::

        with Children("spawn") as children:
            children.start(work, runs_dir, 3)
            children.start(die, runs_dir, exitcode=-signal.SIGKILL)

    Args:
        method: "spawn", "fork" or "forkserver".
        deadline_s: seconds for all of them together, from the start of the block; who is not done then is killed.
    """

    def __init__(self, method: str = "spawn", deadline_s: float = DEADLINE_S) -> None:
        self.context: Any = multiprocessing.get_context(method)
        self._deadline_s = deadline_s
        self._started: List[Any] = []

    def start(self, target: Callable[..., Any], *args: Any, exitcode: Optional[int] = 0) -> Any:
        """A started process that calls ``target(*args)``; ``exitcode`` None allows any."""
        process = self.context.Process(target=target, args=args)
        process.start()
        self._started.append((process, exitcode))
        return process

    def __enter__(self) -> Children:
        self._deadline = time.monotonic() + self._deadline_s
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        hung = []
        try:
            if exc_type is None:
                for process, _ in self._started:
                    process.join(max(0.0, self._deadline - time.monotonic()))
        finally:
            for process, _ in self._started:
                if process.is_alive():
                    hung.append(process.name)
                    process.kill()
                process.join()
        if exc_type is None:
            assert not hung, "killed after %g s: %s" % (self._deadline_s, ", ".join(hung))
            for process, exitcode in self._started:
                if exitcode is not None:
                    assert process.exitcode == exitcode, "%s exited with %s" % (process.name, process.exitcode)


def fork(work: Callable[[], Any]) -> int:
    """The id of a forked child that does ``work`` and exits with 0, or with 1 if it raises; for `reap`."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def reap(child: int) -> int:
    """The status, as of `os.waitpid`, with which the child has exited."""
    return os.waitpid(child, 0)[1]


def in_child(work: Callable[[], Any]) -> int:
    """The status with which a forked child that did ``work`` was reaped."""
    return reap(fork(work))
