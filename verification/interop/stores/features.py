"""What is tried on each server: tests of the product, run with that server in the place of their own."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interop.rows import Row

from support.servers import CHOSEN
from support.tls import knows_tls

ROOT: Final = Path(__file__).parents[3]
ENDS_WITHIN: Final = 600.0
"""Seconds for the tests of one feature."""

ACL: Final = "tests/store/test_tls_acl.py"
CONTRACT: Final = "tests/contract"


@dataclass(frozen=True, slots=True)
class Feature:
    """Tests by path, and an expression of `pytest -k` for some of them. `tls`: the server itself must speak it."""

    name: str
    tests: tuple[str, ...]
    only: str = ""
    tls: bool = False


FEATURES: Final = (
    Feature("the store's contract", (CONTRACT,), "valkey"),
    Feature("a user with only the documented rights", (ACL,), "valkey or script_errors or test_its_rights"),
    Feature("without CONFIG", (f"{ACL}::test_it_needs_no_config",)),
    Feature("`mintonced check`", ("tests/store/test_check.py",), "not cluster and not sentinels and not redis"),
    Feature("TLS", (f"{ACL}::test_it_works_with_a_server_that_speaks_tls_itself",), tls=True),
    Feature("Sentinel, with a failover", (CONTRACT, "tests/store/test_sentinel.py"), "sentinel"),
    Feature(
        "Cluster, with a failover and a slot that moves",
        (CONTRACT, "tests/store/test_cluster.py", f"{ACL}::test_it_works_with_a_cluster"),
        "cluster and not test_a_look_takes_no_answers_away and not without_a_turn",
    ),
    Feature("a restart", ("tests/store/test_outage.py",), "restarted or refuses_to_write or serves_again"),
    Feature("a new password by `redis.url_file`", ("tests/e2e/test_store_credentials.py::test_the_password",)),
)


def tried(feature: Feature, subject: str, version: str, binary: Path) -> Row:
    """Run the tests of one feature on this server."""
    if feature.tls and not knows_tls(binary):
        why = "the build in the package has no TLS; with a TLS proxy in front it works"
        return Row(subject, version, feature.name, "not run", why)
    words = (sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-n", "0", *feature.tests)
    chosen = ("-k", feature.only) if feature.only else ()
    done = subprocess.run(
        (*words, *chosen),
        cwd=ROOT,
        env=os.environ | {CHOSEN: str(binary)},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    closing = done.stdout.strip().rpartition("\n")[2]
    passed = re.search(r"(\d+) passed", closing)
    if done.returncode == 0 and passed:
        return Row(subject, version, feature.name, "works")
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    return Row(subject, version, feature.name, "fails", ", ".join(failed[:5]) or closing)
