"""Instruments: what they count, and that Prometheus' own parser reads what they write."""

from __future__ import annotations

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from codewords_mcp.common.instruments import (
    MAX_LABEL,
    OTHER,
    BoundedNames,
    Counter,
    Histogram,
    clean_label,
    family,
    label_text,
    number_text,
)

pytestmark = pytest.mark.requirement("metrics:format")
HOSTILE = [
    'a "quoted" name',
    "two\nlines",
    "back\\slash\\n",
    '"} 1\ncodewords_runs_total{workflow="forged',
    "x" * 10_000,
    "\u202eright to left\u202c",
    "nul\x00, bell\x07, escape\x1b[31m",
    "lone \ud800 surrogate",
    "",
    "näme 名前 😀",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_label_is_one_value_of_one_series(name: str) -> None:
    counter = Counter("runs_total", "Runs.", ("workflow",))
    counter.add(name)
    counter.add("plain")
    page = "".join(counter.lines())
    page.encode()
    [found] = text_string_to_metric_families(page)
    values = {sample.labels["workflow"]: sample.value for sample in found.samples}
    assert values == {clean_label(name): 1, "plain": 1}
    assert all(len(value) <= MAX_LABEL and value.isprintable() for value in values)


def test_a_histogram_is_read_back_with_its_buckets_sum_and_count() -> None:
    histogram = Histogram("wait_seconds", "Waits.", (0.1, 1, 2.5), ("kind",))
    for value in (0.05, 0.1, 0.5, 100):
        histogram.observe(value, "a")
    [found] = text_string_to_metric_families("".join(histogram.lines()))
    assert found.type == "histogram"
    by_name = {(sample.name, sample.labels.get("le")): sample.value for sample in found.samples}
    assert by_name == {
        ("wait_seconds_bucket", "0.1"): 2, ("wait_seconds_bucket", "1"): 3, ("wait_seconds_bucket", "2.5"): 3,
        ("wait_seconds_bucket", "+Inf"): 4, ("wait_seconds_sum", None): 100.65, ("wait_seconds_count", None): 4,
    }  # fmt: skip
    assert histogram.count("a") == 4
    assert histogram.count("b") == 0


def test_a_histogram_without_labels_and_a_family_of_gauges_are_read_back() -> None:
    histogram = Histogram("lag_seconds", "Lag.", (1,))
    histogram.observe(0.5)
    gauges = family("free", "Free.", "gauge", [("", 1.5), (label_text(("a", "b"), ("1", '"')), 3)])
    lag, free = text_string_to_metric_families("".join([*histogram.lines(), *gauges]))
    assert {sample.name: sample.value for sample in lag.samples} == {
        "lag_seconds_bucket": 1, "lag_seconds_sum": 0.5, "lag_seconds_count": 1,
    }  # fmt: skip
    assert [(sample.labels, sample.value) for sample in free.samples] == [
        ({}, 1.5),
        ({"a": "1", "b": '"'}, 3),
    ]


def test_names_beyond_the_limit_are_counted_together() -> None:
    names = BoundedNames(2)
    assert [names.label(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]
    assert list(names) == ["a", "b"]
    assert BoundedNames(0).label("a") == OTHER


def test_a_name_that_is_not_admitted_takes_no_place() -> None:
    names = BoundedNames(1)
    assert names.label("guess", admits=False) == OTHER
    assert names.label("real") == "real"
    assert names.label("real", admits=False) == "real"


def test_nothing_that_threads_count_is_lost() -> None:
    counter, histogram, names = Counter("a", "A."), Histogram("b", "B.", (1,)), BoundedNames(10)

    def count() -> None:
        for number in range(5000):
            counter.add()
            histogram.observe(number)
            names.label(str(number))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value() == 20_000
    assert histogram.count() == 20_000
    assert len(list(names)) == 10


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (3.0, "3"), (0.1, "0.1"), (1e20, "1e+20"), (-2, "-2"), (1e-9, "1e-09")]
)
def test_numbers_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    assert number_text(value) == text
    assert float(text) == value
