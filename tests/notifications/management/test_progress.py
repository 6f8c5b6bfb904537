import io
import re

from notifications.management.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def lines(out):
    return re.split(r"\r", re.sub(r"\x1b\[K", "", out.getvalue()))[1:]


def test_on_a_terminal_it_says_how_far_how_fast_and_how_long():
    out, clock = Terminal(), Clock()
    progress = Progress(10_000, out=out, clock=clock)
    for done in (2_500, 10_000):
        clock.now += 5
        progress(done)
    progress.end()
    first, last = lines(out)
    assert first == "███████░░░░░░░░░░░░░░░░░░░░░░░ 2,500 of 10,000 (25%), 500 a second, 0:15 left"
    assert last == "██████████████████████████████ 10,000 of 10,000 (100%), 1,000 a second, 0:00 left\n"


def test_a_long_way_is_said_in_hours():
    out, clock = Terminal(), Clock()
    progress = Progress(100_000, out=out, clock=clock)
    clock.now = 60
    progress(500)
    assert lines(out)[0].endswith("3:19:00 left")


def test_anywhere_else_it_says_nothing_and_knows_all_the_same():
    out = io.StringIO()
    progress = Progress(10, out=out)
    progress(5)
    progress.end()
    assert (out.getvalue(), progress.done) == ("", 5)


def test_more_than_were_counted_and_none_at_all_are_no_trouble():
    out = Terminal()
    for total, done in ((2, 3), (0, 0)):
        Progress(total, out=out)(done)
    assert [line.count("█") for line in lines(out)] == [30, 30]


def test_where_nothing_was_begun_no_line_is_ended():
    out = Terminal()
    Progress(0, out=out).end()
    assert out.getvalue() == ""
