import pytest

from notifications.live.bucket import Bucket

NOW = 1_800_000_000.0


@pytest.fixture
def bucket():
    return Bucket(rate=10, burst=3, now=NOW)


def test_a_burst_and_then_the_rate(bucket):
    assert [bucket.take(NOW) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert bucket.take(NOW + 0.05) == pytest.approx(0.05, abs=1e-6)
    assert bucket.take(NOW + 0.1) == 0.0, "who comes back exactly when told is served"
    assert bucket.take(NOW + 0.1) > 0


def test_a_silence_fills_it_to_the_burst_and_no_further(bucket):
    for _ in range(3):
        bucket.take(NOW)
    assert [bucket.take(NOW + 3_600) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]


def test_a_clock_that_steps_back_gives_nothing(bucket):
    for _ in range(3):
        bucket.take(NOW)
    assert bucket.take(NOW - 3_600) > 0
    assert bucket.take(NOW - 3_600) > 0
