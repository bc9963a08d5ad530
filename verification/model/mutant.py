"""A wrong version of the model, with the law that it breaks: it shows what the law and the changed case are for."""

from pathlib import Path
from types import FunctionType, ModuleType
from typing import NamedTuple

from model import faults, fleet, scripts
from model.acts import Scripts
from model.search import Habits, Report, search
from model.world import Budgets


class Mutant(NamedTuple):
    """In the source of scripts.py, fleet.py or keeping.py, `old` becomes `new`."""

    name: str
    old: str
    new: str
    law: str
    budgets: Budgets = Budgets(stalls=1)
    module: ModuleType = scripts

    def run(self, replicas: int = 2) -> Report:
        """The search, with this mutant in it. Raises AssertionError if the text is not there exactly once."""
        changed = _copy(self.module, self.old, self.new)
        if self.module is scripts:
            return search(self.budgets, replicas, Scripts(*(vars(changed)[name] for name in Scripts._fields)))
        steps = [_using(changed, module, self.module) for module in (fleet, faults)]
        habits = Habits(vars(steps[0])["replica_steps"], vars(steps[1])["fleet_steps"])
        return search(self.budgets, replicas, habits=habits)


def _copy(module: ModuleType, old: str = "", new: str = "") -> ModuleType:
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert not old or source.count(old) == 1, f"{source.count(old)} times in {module.__name__}: {old}"
    changed = ModuleType(f"{module.__name__}_mutant")
    exec(compile(source.replace(old, new) if old else source, f"<{changed.__name__}>", "exec"), vars(changed))
    return changed


def _using(changed: ModuleType, module: ModuleType, original: ModuleType) -> ModuleType:
    """A copy of the module that calls the changed functions in place of the original ones."""
    if module is original:
        return changed
    copy = _copy(module)
    for name, value in vars(original).items():
        if isinstance(value, FunctionType) and vars(copy).get(name) is value:
            setattr(copy, name, vars(changed)[name])
    return copy
