import pytest

from benchmarks.report import (
    AS_SOCKETIO,
    BELOW_PLAIN,
    END,
    START,
    Result,
    at_least,
    at_most,
    put,
    readme_block,
    summary,
)
from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("promise", "kept", "missed"),
    [
        (at_least(12), Result("a frame", "µs", 10, 120), Result("a frame", "µs", 10, 119)),
        (at_least(2), Result("a frame", "µs", 10, 120), Result("a frame", "µs", 10)),
        (at_most(30), Result("a socket", "KiB", 30), Result("a socket", "KiB", 30.1)),
        (BELOW_PLAIN, Result("a socket", "KiB", 30, 31), Result("a socket", "KiB", 31, 31)),
        (AS_SOCKETIO, Result("a frame", "µs", 10, 99, 10), Result("a frame", "µs", 10, 99, 9)),
    ],
)
def test_a_promise_that_is_not_kept_is_told(promise, kept, missed):
    assert promise.kept(kept)
    assert not promise.kept(missed)
    broken = Result(missed.what, missed.unit, missed.usher, missed.plain, missed.socketio, [promise])
    assert f"MISSED: {promise.text}" in summary([broken])


def test_summary():
    found = summary([Result("a frame", "µs", 10, 120, None, [at_least(12)]), Result("p50", "ms", 2.5)])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()[2:]]
    assert cells == [["a frame", "10.0 µs", "120 µs", "12.0x", "", "plain ≥ 12x"], ["p50", "2.50 ms", "", "", "", ""]]


def test_the_block_of_the_readme_is_replaced_and_nothing_else():
    block = readme_block([Result("a frame", "µs", 10, 120)], ["Others: 63 µs."], machine="On a machine.")
    readme = f"# Usher\n\n{START}\nold\n{END}\n\n## More\n"
    once = put(readme, block)
    assert once == f"# Usher\n\n{block}\n\n## More\n"
    assert "a frame" in once and "Others: 63 µs." in once and "old" not in once
    assert put(once, block) == once


@pytest.mark.parametrize("readme", ["", START, END, f"{END}{START}", f"{START}{END}{START}{END}"])
def test_a_readme_without_one_place_for_it_is_left_alone(readme):
    with pytest.raises(ValueError, match="exactly one"):
        put(readme, "block")


def test_our_readme_has_its_place():
    assert "block" in put((ROOT / "README.md").read_text(), "block")
