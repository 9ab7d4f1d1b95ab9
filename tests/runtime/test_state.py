"""State of sessions: who carries it, in which order, and what clears it."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref

import numpy as np
import pytest

from furiosa.runtime import create_runner, session, sync
from furiosa_ir.compiler import compile_source
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.ir.text import parse_module
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.runtime.errors import InvalidInput, SessionClosed

COUNTER = """
builtin.module attributes {graph.source = "tflite"} {
  "graph.variable"() <{sym_name = "sum", type = tensor<1x4x!quant.uniform<i8:f32, 1.0>>,
                       initial = #graph.blob<i8 [1, 4] (-9, 0, 5, 7)>}> : () -> ()
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 1.0>>) -> (
      tensor<1x4x!quant.uniform<i8:f32, 1.0>>, tensor<1x4x!quant.uniform<i8:f32, 1.0>>) {
    %a = "graph.read_variable"() <{variable = @sum}> : () -> tensor<1x4x!quant.uniform<i8:f32, 1.0>>
    %b = "graph.add"(%a, %x) : (tensor<1x4x!quant.uniform<i8:f32, 1.0>>,
        tensor<1x4x!quant.uniform<i8:f32, 1.0>>) -> tensor<1x4x!quant.uniform<i8:f32, 1.0>>
    "graph.assign_variable"(%b) <{variable = @sum}>
        : (tensor<1x4x!quant.uniform<i8:f32, 1.0>>) -> ()
    func.return %b, %a : tensor<1x4x!quant.uniform<i8:f32, 1.0>>,
        tensor<1x4x!quant.uniform<i8:f32, 1.0>>
  }
}
"""
"""Gives the sum of all that it was given, and what that was before."""

INITIAL = np.array([[-9, 0, 5, 7]], np.int8)
ONE = np.ones((1, 4), np.int8)


@pytest.fixture(scope="module")
def enf() -> bytes:
    data = compile_source(COUNTER.encode()).enf
    assert data is not None
    return data


def test_a_run_reads_what_the_one_before_assigned(enf: bytes) -> None:
    interpreter = Interpreter(parse_module(COUNTER), lower_operation)
    with session.create(enf) as running, session.create(enf) as other:
        for step in range(1, 21):
            after, before = running.run(ONE).numpy()
            np.testing.assert_array_equal(after, INITIAL + step)
            np.testing.assert_array_equal(before, INITIAL + step - 1)
            for got, want in zip(interpreter.run([ONE]).values(), (after, before), strict=True):
                np.testing.assert_array_equal(got, want)
        # Each session has a state of its own.
        np.testing.assert_array_equal(other.run(ONE)[0].numpy(), INITIAL + 1)
        running.reset()
        np.testing.assert_array_equal(running.run(ONE)[0].numpy(), INITIAL + 1)
    with pytest.raises(SessionClosed):
        running.reset()


def test_nobody_else_holds_the_state(enf: bytes) -> None:
    """Results and inputs are the caller's, who may write to them."""
    with session.create(enf) as running:
        x = ONE.copy()
        for step in range(3):
            after, before = running.run(x).numpy()
            np.testing.assert_array_equal(after, INITIAL + 1 + step)
            for array in (after, before, x):
                array[:] = 100
            x[:] = 1


def test_a_run_that_is_refused_changes_nothing(enf: bytes) -> None:
    with session.create(enf) as running:
        running.run(ONE)
        with pytest.raises(InvalidInput):
            running.run(np.ones((1, 5), np.int8))
        np.testing.assert_array_equal(running.run(ONE)[1].numpy(), INITIAL + 1)


def test_threads_lose_no_run(enf: bytes) -> None:
    with session.create(enf, worker_num=8) as running:
        assert running.worker_num == 1
        threads = [
            threading.Thread(target=lambda: [running.run(ONE) for _ in range(5)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(running.run(ONE)[1].numpy(), INITIAL + 40)


def test_an_asynchronous_session_runs_in_the_order_of_submission(enf: bytes) -> None:
    submitter, queue = session.create_async(enf, worker_num=4)
    with queue:
        for number in range(20):
            if number == 10:
                submitter.reset()
            submitter.submit(ONE, number)
        submitter.close()
        with pytest.raises(SessionClosed):
            submitter.reset()
        for number in range(20):
            context, results = queue.recv()
            assert context == number
            np.testing.assert_array_equal(results[0].numpy(), INITIAL + 1 + number % 10)


def test_runners_reset(enf: bytes) -> None:
    with sync.create_runner(enf) as runner:
        runner.run(ONE)
        runner.reset()
        np.testing.assert_array_equal(runner.run(ONE)[0], INITIAL + 1)

    async def work() -> None:
        async with create_runner(enf, worker_num=4) as runner:
            runs = [runner.run(ONE) for _ in range(5)]
            for step, (after, _) in enumerate(await asyncio.gather(*runs), 1):
                np.testing.assert_array_equal(after, INITIAL + step)
            await runner.reset()
            np.testing.assert_array_equal((await runner.run(ONE))[0], INITIAL + 1)

    asyncio.run(work())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_the_child_of_a_fork_goes_on_from_the_state_of_its_parent(enf: bytes) -> None:
    with session.create(enf) as running:
        running.run(ONE)
        child = os.fork()
        if child == 0:
            good = (running.run(ONE)[0].numpy() == INITIAL + 2).all()
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(running.run(ONE)[0].numpy(), INITIAL + 2)


def test_a_module_is_freed_with_its_variables() -> None:
    module = parse_module(COUNTER)
    left = weakref.ref(module)
    del module
    gc.collect()
    assert left() is None
