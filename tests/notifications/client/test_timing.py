import pytest

from notifications.client.timing import back_off


@pytest.mark.parametrize(
    ("failures", "most"), [(0, 0.5), (1, 1), (2, 2), (5, 16), (6, 20), (10_000, 20)], ids=lambda value: str(value)
)
def test_it_doubles_up_to_twenty_seconds(failures, most):
    assert back_off(failures, lambda: 1.0) == most


def test_it_is_anything_from_nothing_on():
    assert back_off(3, lambda: 0.0) == 0
    assert back_off(3, lambda: 0.25) == 1
