from benchmarks.profiling import count


def test_collapsed_stacks_are_counted_by_function():
    samples, own, total = count(
        [
            "run (loop.py:1);tell (hub.py:10);encode (native.py:5) 3",
            "run (loop.py:2);tell (hub.py:12) 2",
            "run (loop.py:1) 1",
            "f (a.py:1);f (a.py:2) 4",
        ]
    )
    assert samples == 10
    assert own == {"encode (native.py)": 3, "tell (hub.py)": 2, "run (loop.py)": 1, "f (a.py)": 4}
    assert total == {"run (loop.py)": 6, "tell (hub.py)": 5, "encode (native.py)": 3, "f (a.py)": 4}
