"""How signals end the process of `mintonced`."""

import asyncio
import signal
import sys

DEAF = """
import time
from mintonce_server.cli.process import run_until_signal

async def work(stopping):
    print("ready", flush=True)
    await stopping.wait()
    while True:
        try:
            print("deaf", flush=True)
            time.sleep(60.0)
        except KeyboardInterrupt:
            pass

run_until_signal(work)
"""


async def test_a_second_interrupt_ends_a_program_that_neither_waits_nor_lets_itself_be_interrupted() -> None:
    """A program that is stuck, or loses the interrupt, ends all the same."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", DEAF, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20.0):
            assert await process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert await process.stdout.readline() == b"deaf\n"
            process.send_signal(signal.SIGINT)
            assert await process.wait() == -signal.SIGINT
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
