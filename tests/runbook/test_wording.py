import pytest

from runbook.wording import duration, listing, measure, percent, shortened


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.0012, "1.2 ms"), (0.25, "250 ms"), (4.5, "4.5 s"), (60, "1 min"), (290, "4 min 50 s"), (1800, "30 min"),
     (7500, "2 h 5 min"), (86400, "1 d"), (90061, "1 d 1 h"), (-5, "-5 s")],
)  # fmt: skip
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_ratio_is_told_as_percent_without_needless_digits() -> None:
    assert [percent(r) for r in (0.03, 0.9867, 0.00012, 1.0, 0)] == ["3 %", "98.67 %", "0.012 %", "100 %", "0 %"]


def test_a_measure_carries_its_unit() -> None:
    assert [measure(0.5, "ratio"), measure(0.5, "s"), measure(5, "count"), measure(5, "bytes")] == [
        "50 %", "500 ms", "5", "5 bytes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B/s"), (-0.2, "0 B/s"), (512.4, "512 B/s"), (999.7, "1 kB/s"), (1500, "1.5 kB/s"), (-1_118_481, "-1.12 MB/s"),
     (16e6, "16 MB/s"), (999_600_000, "1 GB/s"), (5e12, "5 TB/s")],
)  # fmt: skip
def test_bytes_are_told_in_thousands(count: float, words: str) -> None:
    assert measure(count, "bytes_per_s") == words


def test_a_listing_ends_with_and() -> None:
    assert [listing(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_a_cut_is_marked() -> None:
    assert shortened("abcdef", 4) == "abc…"
