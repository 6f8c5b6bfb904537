import pytest

from benchmarks.measuring import Sample, Side, number, percentile, ratio, table


def test_a_side_is_judged_by_its_median():
    side = Side("usher", [Sample(cpu=cpu, units=1000, acks=acks) for cpu, acks in ((0.01, 30), (0.09, 32), (0.02, 34))])
    assert side.micros == pytest.approx(20)
    assert side.spread == pytest.approx((10, 90))
    assert side.acks == pytest.approx(0.032)


def test_ratio():
    assert ratio(240, 20) == 12
    assert ratio(1, 0) == float("inf")


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (100, "100"), (99.94, "99.9"), (9.876, "9.88"), (0, "0.00")]
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([3, 1, 2], 0.5, 2),
        ([1, 2, 3, 4], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 1001), 0.999, 999),
        ([7], 0.99, 7),
    ],
)
def test_percentile(values, share, found):
    assert percentile(values, share) == found


def test_table():
    assert table(["side", "µs"], [["usher", "9.9"], ["the plain way", "100"]]).splitlines() == [
        "| side          |  µs |",
        "|---------------|----:|",
        "| usher         | 9.9 |",
        "| the plain way | 100 |",
    ]
