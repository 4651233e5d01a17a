"""The thread pool around kernels."""

from __future__ import annotations

import threading

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
