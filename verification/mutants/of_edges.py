"""Mutants: an edge lets through what it does not know, or believes what is not genuine."""

from mutants.mutant import Mutant


def edge(name: str, file: str, old: str, new: str, breaks: str, *tests: str) -> Mutant:
    """A mutant of one edge; `tests` below tests/, or of verification/."""
    paths = (test if test.startswith("verification/") else f"tests/{test}" for test in tests)
    return Mutant(name, file, old, new, breaks, tuple(paths))


TASKS = (
    edge(
        "a foreign exception of the store",
        "core/edge.py",
        'except Exception as error:\n        sink(events.Unforeseen("", f"store.',
        'except ConnectionAbortedError as error:\n        sink(events.Unforeseen("", f"store.',
        "it reaches callers as INTERNAL, and leaves leases behind",
        "verification/faults/test_ports.py",
    ),
    edge(
        "a foreign exception of the issuer",
        "core/edge.py",
        "except Exception as error:\n        sink(events.Unforeseen(key_hash,",
        "except ConnectionAbortedError as error:\n        sink(events.Unforeseen(key_hash,",
        "the lease is not released, and all wait until it lapses",
        "verification/faults/test_ports.py",
    ),
    edge(
        "a fault of one key's refresh",
        "core/schedule.py",
        "except Exception as error:  # noqa: BLE001 - reported, and the key is tried again",
        "except ConnectionAbortedError as error:",
        "no key is refreshed any more",
        "core/test_schedule.py",
    ),
    edge(
        "a refresh that failed is not tried again",
        "core/schedule.py",
        "            self.at(key, self._clock.monotonic() + full_jitter(failures, self._rng))\n",
        "",
        "the key's token ends without a successor",
        "core/test_schedule.py",
    ),
    edge(
        "a task that failed stays ended",
        "core/supervise.py",
        "while True:\n            began",
        "for _ in range(1):\n            began",
        "after one fault the replica hears of nothing, or refreshes nothing",
        "core/test_supervise.py",
    ),
    edge(
        "a fault that the supervisor does not know",
        "core/supervise.py",
        "except Exception as error:  # noqa: BLE001 - whatever it is",
        "except OSError as error:  # whatever it is",
        "one garbled reply ends the process",
        "core/test_supervise.py",
    ),
    edge(
        "a log that cannot be written ends what it is about",
        "core/supervise.py",
        "except Exception:  # noqa: BLE001, S110 - a log",
        "except KeyError:  # a log",
        "a full disk ends the process",
        "core/test_supervise.py",
    ),
    edge(
        "a cancelled part cancels the whole",
        "core/supervise.py",
        "if task is None or task.cancelling():",
        "if task is not None:",
        "a library that cancels a task of its own ends ours",
        "core/test_supervise.py",
    ),
)

STORE = (
    edge(
        "an exception that is not redis-py's own",
        "store/link.py",
        "except Exception as error:\n            raise_if_cancelled()",
        "except (ResponseError, OSError) as error:\n            raise_if_cancelled()",
        "a garbled reply is no outage of the store",
        "store/test_garbage.py",
    ),
    edge(
        "a reply that cannot be read",
        "store/link.py",
        "except Exception as error:\n            self._garbled = True",
        "except OSError as error:\n            self._garbled = True",
        "a garbled record is no outage of the store",
        "store/test_garbage.py",
    ),
    edge(
        "a subscription that breaks in an unknown way",
        "store/notifications.py",
        "except Exception as error:  # noqa: BLE001 - a subscription",
        "except ConnectionError as error:  # a subscription",
        "the replica hears of nothing until it is started again",
        "store/test_garbage.py",
        "store/test_wake.py",
    ),
    edge(
        "a message without its MAC",
        "store/notifications.py",
        "if hmac.compare_digest(mac, self._mac(body)) else None",
        "if len(mac) == _MAC_DIGITS else None",
        "any client that may publish in Redis speaks for the fleet",
        "store/test_notifications.py",
    ),
    edge(
        "a message with more behind it",
        "store/notifications.py",
        "_FORM.fullmatch(body)",
        "_FORM.match(body)",
        "what is read is not what was sent",
        "store/test_notifications.py",
    ),
    edge(
        "dropped messages are not counted",
        "store/notifications.py",
        "            self._on_drop()\n",
        "",
        "operators do not learn that another client publishes",
        "store/test_notifications.py",
    ),
)

PARTS = (
    edge(
        "the trouble of a part is everybody's",
        "core/cache.py",
        "if not error.partial:",
        "if True:",
        "one dead shard degrades all keys",
        "core/test_parts_of_the_store.py",
    ),
    edge(
        "keys of a dead part are not known to be away",
        "core/cache.py",
        "            entry.store_failed_at = max(entry.store_failed_at, asked_at)\n",
        "            pass\n",
        "their live tokens are not served",
        "core/test_parts_of_the_store.py",
    ),
    edge(
        "one failed key fails the question",
        "store/reading.py",
        "if errors and len(errors) == len(replies):",
        "if errors:",
        "one dead shard makes all keys old",
        "store/test_cluster.py::test_the_trouble_of_a_part_stays_with_its_keys",
    ),
    edge(
        "a list hides what did not answer",
        "store/reading.py",
        "truncated=bool(failures))",
        "truncated=False)",
        "an operator takes a part of the list for the whole",
        "store/test_cluster.py::test_the_trouble_of_a_part_stays_with_its_keys",
    ),
    edge(
        "a limit before the filter",
        "store/reading.py",
        'lambda t: client in ("", t.key.client) and wanted(t))',
        'lambda t: client in ("", t.key.client))',
        "the tokens that the caller administers are crowded out by others",
        "contract/test_reading.py",
    ),
)

OTHERS = (
    edge(
        "an exception that is not httpx's own",
        "issuer/http.py",
        "except Exception as error:  # noqa: BLE001 - translated and raised below\n",
        "except (httpx.HTTPError, TimeoutError, BadBody, NotThisMachine) as error:\n",
        "broken TLS is a fault of ours, and its connection is used again",
        "issuer/test_broken_tls.py",
    ),
    edge(
        "an exception before the request",
        "issuer/endpoint.py",
        "except Exception as error:  # noqa: BLE001 - translated",
        "except OSError as error:  # translated",
        "a key that cannot sign is a fault of ours",
        "issuer/test_before_the_request.py",
    ),
    edge(
        "a broken connection is used again",
        "issuer/http.py",
        "        await self.discard()\n        # Raised",
        "        # Raised",
        "over HTTP/2 each mint after it waits for its deadline",
        "issuer/test_broken_tls.py",
    ),
    edge(
        "a key server that breaks TLS",
        "auth/jwks.py",
        "except Exception as error:\n            # Any",
        "except (httpx.HTTPError, TimeoutError) as error:\n            # Any",
        "the look for keys ends with it",
        "auth/test_jwks_broken_tls.py",
    ),
    edge(
        "a fault in one file",
        "reload/files.py",
        "except Exception as error:  # noqa: BLE001 - reported\n                self._on_fault(f",
        "except OSError as error:\n                self._on_fault(f",
        "no file is looked at any more",
        "app/test_reloaded_files.py",
    ),
    edge(
        "a file that is not understood",
        "reload/files.py",
        "except Exception as error:  # noqa: BLE001 - raised below",
        "except OSError as error:",
        "the log says nothing of which file it is",
        "app/test_reloaded_files.py",
    ),
    edge(
        "an audit log that fails in an unknown way",
        "observability/audit.py",
        "except Exception as error:  # what cannot be recorded",
        "except OSError as error:  # what cannot be recorded",
        "the caller hears INTERNAL",
        "observability/test_audit_trouble.py",
        "observability/test_audit.py",
    ),
)

EDGES = TASKS + STORE + PARTS + OTHERS
