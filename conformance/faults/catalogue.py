"""Mistakes that a client could make: what they break in Python's, and the case that must find each.

A fault is a function: called before the testee begins, it changes the client in its process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from conformance.faults import calls, sources, texts

CASES: Final = "conformance/cases"


@dataclass(frozen=True)
class Planted:
    """A fault, and the test of a case (`file::test`, and its parameter if it has one) that must find it.

    `in_a_fleet`: the test runs once for all testees together.
    """

    plant: Callable[[], None]
    found_by: str
    parameter: str = ""
    in_a_fleet: bool = False

    def node(self, testee: str) -> str:
        """The test's name for pytest."""
        if self.in_a_fleet:
            return f"{CASES}/{self.found_by}"
        inside = f"{testee}-{self.parameter}" if self.parameter else testee
        return f"{CASES}/{self.found_by}[{inside}]"


FAULTS: Final = {
    "none": None,
    "serves-past-the-end": Planted(
        sources.serves_past_the_end, "test_following.py::test_case_09_served_to_its_true_end"
    ),
    "a-report-for-each-caller": Planted(
        sources.a_report_for_each_caller, "test_rejecting.py::test_case_16_many_rejects_are_one_report"
    ),
    "reports-twice": Planted(sources.reports_twice, "test_rejecting.py::test_case_15_reject_brings_the_successor"),
    "serves-what-was-rejected": Planted(
        sources.serves_what_was_rejected, "test_rejecting.py::test_case_19_the_mint_after_it_fails"
    ),
    "ignores-generations": Planted(
        sources.ignores_generations,
        "test_following.py::test_case_07_a_lower_generation_is_ignored_while_a_higher_one_lives",
    ),
    "takes-back-what-was-rejected": Planted(
        sources.takes_back_what_was_rejected, "test_following.py::test_case_08_not_even_when_nothing_lives"
    ),
    "never-watches": Planted(sources.never_watches, "test_following.py::test_case_05_a_pushed_successor_is_seen"),
    "a-storm-of-watches": Planted(
        sources.a_storm_of_watches, "test_following.py::test_case_06_watches_that_fail_are_no_storm"
    ),
    "asks-inside-the-back-off": Planted(
        sources.asks_inside_the_back_off, "test_expired.py::test_case_13_no_wait_inside_the_back_off"
    ),
    "forgets-retry-info": Planted(sources.forgets_retry_info, "test_expired.py::test_case_14_retry_info_is_honoured"),
    "gives-up-when-a-replica-drains": Planted(
        sources.gives_up_when_a_replica_drains, "test_following.py::test_case_11_a_replica_drains"
    ),
    "mints-for-itself": Planted(
        sources.mints_for_itself, "test_fleet.py::test_case_37_all_languages_share_one_token", in_a_fleet=True
    ),
    "a-fetch-for-each-read": Planted(
        sources.a_fetch_for_each_read, "test_following.py::test_case_04_reads_make_no_call"
    ),
    "serves-after-close": Planted(sources.serves_after_close, "test_closing.py::test_case_31_again_and_again"),
    "leaves-a-thread": Planted(sources.leaves_a_thread, "test_closing.py::test_case_31_the_process_can_end", "closed"),
    "no-anchor": Planted(calls.no_anchor, "test_open.py::test_case_25_life_counts_from_before_the_call"),
    "believes-the-wall-clock": Planted(
        calls.believes_the_wall_clock, "test_open.py::test_case_25_wall_clocks_do_not_matter", "1970"
    ),
    "retries-after-a-pushback": Planted(
        calls.retries_after_a_pushback, "test_calls.py::test_case_24_a_pushback_stops_it"
    ),
    "never-retries": Planted(calls.never_retries, "test_calls.py::test_case_24_unavailable_is_tried_again"),
    "sends-no-pings": Planted(calls.sends_no_pings, "test_silence.py::test_case_35_a_silent_cut_is_noticed"),
    "takes-a-socket-for-a-name": Planted(calls.takes_a_socket_for_a_name, "test_tls.py::test_case_36_a_unix_socket"),
    "retries-a-rotation": Planted(calls.retries_a_rotation, "test_calls.py::test_case_24_a_rotation_is_never_repeated"),
    "no-deadline": Planted(calls.no_deadline, "test_calls.py::test_case_21_the_clients_own_deadline"),
    "closed-for-a-cancellation": Planted(
        calls.closed_for_a_cancellation, "test_calls.py::test_case_22_a_callers_own_cancellation", "reject"
    ),
    "takes-what-no-header-can-hold": Planted(
        calls.takes_what_no_header_can_hold,
        "test_headers.py::test_case_38_a_token_that_no_header_can_hold_is_refused",
        "a new line",
    ),
    "knows-old-reasons-only": Planted(
        calls.knows_old_reasons_only, "test_calls.py::test_case_23_an_unknown_reason", "UNAVAILABLE"
    ),
    "believes-foreign-details": Planted(
        calls.believes_foreign_details,
        "test_calls.py::test_case_23_no_details_or_useless_ones",
        "INTERNAL-foreign",
    ),
    "reads-no-environment": Planted(calls.reads_no_environment, "test_environment.py::test_case_30_the_authority"),
    "guesses-at-contradictions": Planted(
        calls.guesses_at_contradictions, "test_environment.py::test_case_30_contradictions", "no with a file"
    ),
    "a-bearer-in-clear": Planted(
        calls.a_bearer_in_clear, "test_bearers.py::test_case_29_never_in_clear_to_others", "192.0.2.1:443"
    ),
    "an-old-bearer": Planted(calls.an_old_bearer, "test_bearers.py::test_case_29_a_replaced_file"),
    "a-proxy-for-loopback": Planted(
        calls.a_proxy_for_loopback, "test_bearers.py::test_case_29_no_proxy_for_loopback", "http_proxy"
    ),
    "leaks-in-an-error": Planted(texts.leaks_in_an_error, "test_secrecy.py::test_case_26_no_token_in_any_text"),
    "leaks-in-a-print": Planted(texts.leaks_in_a_print, "test_secrecy.py::test_case_26_no_token_in_any_text"),
    "leaks-in-the-log": Planted(texts.leaks_in_the_log, "test_open.py::test_case_01_open_returns_the_first_token"),
    "repeats-a-stream": Planted(texts.repeats_a_stream, "test_adapters.py::test_case_32_a_stream_is_not_repeated"),
    "repeats-for-ever": Planted(texts.repeats_for_ever, "test_adapters.py::test_case_32_a_second_401_is_the_callers"),
    "a-header-to-another-host": Planted(
        texts.a_header_to_another_host, "test_adapters.py::test_case_32_a_redirect_to_another_host"
    ),
    "hides-the-apis-401": Planted(texts.hides_the_apis_401, "test_adapters.py::test_case_32_the_rejection_fails"),
}
