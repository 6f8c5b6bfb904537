import pytest

from tests.support.promql import Selector, read


def test_what_an_expression_asks_for():
    used = read('60 * sum by (code) (rate(closed_total{code!="1000", job=~"a|b"}[5m])) > 1')
    assert used.selectors == [Selector("closed_total", (("code", "!=", "1000"), ("job", "=~", "a|b")))]
    assert used.labels == {"code"}
    assert read("histogram_quantile(0.99, sum by (le, way) (rate(took_bucket[5m])))").labels == {"way"}
    assert read("up == 0").labels is None
    assert len(read("(sum(a) + sum(b)) / 1e9").selectors) == 2


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "sum(",
        "sum(a))",
        "sum by code (a)",
        "rate(a)",
        "rate(a[5m]",
        "a[5m]",
        "a[5 minutes]",
        "sum(a[5m])",
        'a{code="1}',
        "a{code=1}",
        'a{code=="1"}',
        'a{code="1" job="b"}',
        "a + ",
        "a b",
        "rates(a[5m])",
        "histogram_quantile(0.9, rate(a_bucket[5m]))",
        "histogram_quantile(sum by (le) (a), 0.9)",
        "sum by (code) (sum by (job) (a))",
        "sum by (code) (a) / sum by (job) (a)",
        "sum(a)[5m]",
        "a $ b",
    ],
)
def test_what_is_none(expression):
    with pytest.raises(ValueError, match=r"."):
        read(expression)
