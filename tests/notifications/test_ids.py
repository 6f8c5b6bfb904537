import threading
import time

from notifications import ids
from notifications.ids import uuid7


def test_version_and_variant():
    made = uuid7()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert abs((made.int >> 80) - time.time() * 1000) < 5_000


def test_they_ascend():
    made = [uuid7() for _ in range(100_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_they_ascend_when_the_clock_steps_back(monkeypatch):
    before = uuid7()
    past = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(ids.time, "time_ns", lambda: past)
    assert before < uuid7() < uuid7()


def test_threads_make_different_ones():
    made = []
    threads = [threading.Thread(target=lambda: made.extend(uuid7() for _ in range(5_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 40_000
