"""The run distinguishes a process that ends by itself from one that it ended."""

import os
import signal
from pathlib import Path

from chaos.processes import Program

from support.waiting import wait_until

SAYS_READY = "import time, sys; print('ready', flush=True); "


async def started(directory: Path, then: str) -> Program:
    program = Program("p", directory / "said")
    await program.launch(["-c", SAYS_READY + then], os.environ, "ready")
    return program


async def test_a_process_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    """With its exit code and its last words."""
    program = await started(tmp_path, "raise RuntimeError('the end')")
    await wait_until(lambda: program.ends)
    (end,) = program.ends
    assert "exit code 1" in end.how
    assert "RuntimeError: the end" in end.how


async def test_so_is_one_that_anything_else_killed(tmp_path: Path) -> None:
    """The kernel when memory is short, for one."""
    program = await started(tmp_path, "time.sleep(60)")
    os.kill(program.pid, signal.SIGKILL)
    await wait_until(lambda: program.ends)
    await program.kill()
    assert len(program.ends) == 1


async def test_what_the_run_ends_is_no_end_of_its_own(tmp_path: Path) -> None:
    """By SIGKILL or SIGTERM; and it may start again."""
    program = await started(tmp_path, "time.sleep(60)")
    await program.kill()
    await program.launch(["-c", SAYS_READY + "time.sleep(60)"], os.environ, "ready")
    await program.leave()
    assert program.ends == []
