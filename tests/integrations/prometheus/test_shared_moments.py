"""An answer's moments are read once each: a thousand series name the same few."""

from __future__ import annotations

from integrations.prometheus.metrics import series_of


def test_series_of_one_answer_share_their_moments() -> None:
    points = [[1772366400.123, "1"], [1772366415.123, "2"]]
    one, other = series_of([{"metric": {"service": name}, "values": points} for name in ("cart", "desk")])
    assert [sample.at.microsecond for sample in one.samples] == [123000, 123000]
    assert all(mine.at is theirs.at for mine, theirs in zip(one.samples, other.samples, strict=True))
    assert one.samples[0].at < one.samples[1].at
