"""For every test: see support/leftovers.py."""

from support.leftovers import no_task_is_left_behind

__all__ = ["no_task_is_left_behind"]
