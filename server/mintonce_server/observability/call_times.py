"""A histogram for the hot path: an observation costs a fifth of one in prometheus_client's, which takes two locks."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Times:
    """One series. Observed by one thread, the event loop's; read by any."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """It took so long. A bucket counts what is at most its bound."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def read(self) -> tuple[list[int], float]:
        """How many took at most each bound, and any time; and their sum in seconds."""
        return list(accumulate(self._counts)), self._sum


class CallTimes(Collector):
    """Has the part of prometheus_client's Histogram that counting calls needs."""

    def __init__(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        """`buckets`: their upper bounds in seconds, ascending, without infinity."""
        self._name, self._text, self._labels = name, text, labels
        self._bounds = tuple(buckets)
        # As the library writes them, which is as Go does: the same as Python below a million.
        self._words = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], Times] = {}

    def labels(self, *values: str) -> Times:
        """The series with these values of its labels; made at the first call."""
        if len(values) != len(self._labels):
            raise ValueError(f"{self._name} has {len(self._labels)} labels, not {len(values)}")
        return self._series.setdefault(values, Times(self._bounds))

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The family without a sample: a registry takes no second one of the same name."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family with all samples. `list`: a series may come while another thread reads."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, times in list(self._series.items()):
            counts, total = times.read()
            family.add_metric(values, list(zip(self._words, counts, strict=True)), total)
        yield family
