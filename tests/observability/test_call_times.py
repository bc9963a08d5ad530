"""Our histogram of calls, held against prometheus_client's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics.exposition import (
    generate_latest as as_openmetrics,
)

from mintonce_server.observability.call_times import CallTimes
from mintonce_server.observability.metrics import CALLS

NAME, TEXT, LABELS = "rpc_server_call_duration_seconds", 'Calls, with a " and a \\.', ("method", "code")

observed = st.tuples(
    st.tuples(st.sampled_from(["Get", 'a "quoted"\nname']), st.sampled_from(["OK", "INTERNAL"])),
    st.one_of(st.sampled_from((0.0, *CALLS)), st.floats(0.0, 30.0)),
)


@given(st.lists(observed))
def test_a_scrape_shows_what_the_librarys_histogram_shows(all_observed: list[tuple[tuple[str, str], float]]) -> None:
    """In both formats, to the byte; also for a time that is just a bucket's bound."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    times = CallTimes(NAME, TEXT, LABELS, CALLS)
    ours.register(times)
    histogram = Histogram(NAME, TEXT, LABELS, buckets=CALLS, registry=theirs)
    for values, seconds in all_observed:
        times.labels(*values).observe(seconds)
        histogram.labels(*values).observe(seconds)

    assert as_text(ours) == as_text(theirs)
    assert as_openmetrics(ours) == as_openmetrics(theirs)  # type: ignore[no-untyped-call]


def test_a_registry_takes_no_second_histogram_of_the_same_name() -> None:
    """As with the library's: two of them would be one invalid scrape."""
    registry = CollectorRegistry()
    registry.register(CallTimes(NAME, TEXT, LABELS, CALLS))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(CallTimes(NAME, TEXT, LABELS, CALLS))


def test_a_series_needs_a_value_for_each_label() -> None:
    """One too few would move values to other labels."""
    with pytest.raises(ValueError, match="2 labels, not 1"):
        CallTimes(NAME, TEXT, LABELS, CALLS).labels("Get")
