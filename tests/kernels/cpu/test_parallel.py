"""The thread pool around kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref

import pytest

from dsabench.kernels.cpu.parallel import parallel_for


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_runs_once(threads: int) -> None:
    done: list[int] = []
    slots: set[int] = set()
    lock = threading.Lock()

    def body(task: int, slot: int) -> None:
        with lock:
            done.append(task)
            slots.add(slot)

    parallel_for(100, body, threads)
    assert sorted(done) == list(range(100))
    assert slots <= set(range(threads))


def test_a_slot_is_never_shared_at_one_time() -> None:
    busy: set[int] = set()
    clashes: list[int] = []

    def body(task: int, slot: int) -> None:
        if slot in busy:
            clashes.append(slot)
        busy.add(slot)
        threading.Event().wait(0.0005)
        busy.discard(slot)

    parallel_for(60, body, 4)
    assert clashes == []


@pytest.mark.parametrize("failing", [0, 7, 19])
def test_an_exception_reaches_the_caller(failing: int) -> None:
    def body(task: int, slot: int) -> None:
        if task == failing:
            raise RuntimeError(f"task {task}")

    with pytest.raises(RuntimeError, match=f"task {failing}"):
        parallel_for(20, body, 2)
    parallel_for(4, lambda task, slot: None, 2)  # the pool still works


def test_no_tasks() -> None:
    parallel_for(0, lambda task, slot: pytest.fail("ran"), 2)


def test_calls_from_several_threads_and_from_tasks_do_not_mix() -> None:
    sums: dict[int, int] = {}
    lock = threading.Lock()

    def caller(number: int) -> None:
        found: list[int] = []

        def inner(task: int, slot: int) -> None:
            with lock:
                found.append(task)

        def outer(task: int, slot: int) -> None:
            parallel_for(10, inner, 2)

        parallel_for(8, outer, 2)
        sums[number] = sum(found)

    callers = [threading.Thread(target=caller, args=(n,)) for n in range(4)]
    for each in callers:
        each.start()
    for each in callers:
        each.join(60)
    assert sums == dict.fromkeys(range(4), 8 * 45)


def test_a_helper_keeps_nothing_of_the_last_call() -> None:
    class Arrays:
        pass

    held = Arrays()
    gone = weakref.ref(held)

    def body(task: int, slot: int, held: Arrays = held) -> None:
        threading.Event().wait(0.001)

    parallel_for(8, body, 2)
    del held, body
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_works_after_a_fork() -> None:
    """In a process of its own: the test's has torch's and numba's threads too."""
    code = (
        "import os\n"
        "from dsabench.kernels.cpu.parallel import parallel_for\n"
        "def count():\n"
        "    done = []\n"
        "    parallel_for(9, lambda task, slot: done.append(task), 2)\n"
        "    return len(done)\n"
        "assert count() == 9\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if count() == 9 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
