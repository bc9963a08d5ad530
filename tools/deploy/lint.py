"""The checks of `make lint-deploy`: what deploy/ has for Kubernetes, systemd and Prometheus.

`make lint-deploy ONLY="chart copies"` runs only those. A check whose program cannot be had here passes, and says in a
line with the words "left out" what was not looked at.
"""

import sys
from collections.abc import Mapping

from checks import ROOT, run_all
from deploy.programs import install

PYTHON = sys.executable
DEPLOY = ".venv-deploy/bin/python"
"""Where requirements/deploy.txt is installed: kubernetes-validate and what it needs."""

# A new check is a line here: its name, and a command that ends with 0 if all is well. `-m deploy.x` runs
# tools/deploy/x.py.
CHECKS: Mapping[str, list[str]] = {
    "rules": [PYTHON, "-m", "deploy.rules"],
    "dashboards": [PYTHON, "-m", "deploy.dashboards"],
    "unit": [PYTHON, "-m", "deploy.unit"],
    "chart": [PYTHON, "-m", "deploy.chart"],
    "tests": [PYTHON, "-m", "pytest", "-q", "--color=no", "tools/deploy/tests"],
    "values": [PYTHON, "-m", "deploy.values"],
    "copies": [PYTHON, "-m", "deploy.copies"],
}


def main() -> int:
    """0 if every check passed; 2 for a check that does not exist."""
    install()  # before the checks, which run two at a time
    # Safe: the folder deploy/ of the repository must not be found in the place of tools/deploy.
    return run_all("lint-deploy", CHECKS, {"PYTHONPATH": str(ROOT / "tools"), "PYTHONSAFEPATH": "1"}, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
