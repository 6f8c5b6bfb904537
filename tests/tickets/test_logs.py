import io
import json
import logging
import shutil
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from tickets import tracing
from tickets.logs import AuditFile, json_lines


def test_what_cannot_be_appended_is_said_elsewhere_and_keeps_nobody_from_anything(tmp_path, capsys):
    """Whatever is wrong with the file, now or later."""
    handler = AuditFile(tmp_path / "later" / "audit.jsonl", delay=True)
    log = logging.getLogger("tests.audit")
    log.propagate = False
    log.addHandler(handler)
    log.warning("one")
    assert "No such file or directory: one" in capsys.readouterr().err
    (tmp_path / "later").mkdir()
    log.warning("two")
    (tmp_path / "later" / "audit.jsonl").rename(tmp_path / "rotated")
    log.warning("three")
    assert capsys.readouterr().err == ""
    assert ((tmp_path / "rotated").read_text(), (tmp_path / "later" / "audit.jsonl").read_text()) == (
        "two\n",
        "three\n",
    )
    shutil.rmtree(tmp_path / "later")
    log.warning("four")
    assert ": four" in capsys.readouterr().err
    handler.close()


# Lines that are JSON ------------------------------------------------------------------------------------------------


@pytest.fixture
def line():
    """What a call of a logger comes to, read back."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(json_lines())
    # Nobody else hears it: what a test runner collects may not be sent to another process (a lone surrogate).
    log = logging.Logger("tests.json", logging.DEBUG)  # noqa: LOG001
    log.addHandler(handler)
    tracing.begin()

    def read(say):
        said.seek(0)
        said.truncate()
        say(log)
        (only,) = said.getvalue().splitlines()
        assert only.isascii()
        return json.loads(only)

    yield read
    tracing.begin()


def test_time_level_logger_event(line):
    found = line(lambda log: log.warning("%d of %s", 3, "four"))
    assert list(found) == ["time", "level", "logger", "event"]
    assert (found["level"], found["logger"], found["event"]) == ("WARNING", "tests.json", "3 of four")
    assert datetime.fromisoformat(found["time"]).utcoffset() == timedelta(0)


def test_what_a_line_is_about_are_fields_of_their_own(line):
    session = uuid4()
    about = {"connection": "abc", "session": session, "seconds": 1.25, "count": 2}
    found = line(
        lambda log: log.info("close connection=%(connection)s session=%(session)s seconds=%(seconds).1f", about)
    )
    assert found["event"] == "close"
    assert (found["connection"], found["session"], found["seconds"]) == ("abc", str(session), 1.25)
    assert "count" not in found, "only what the line says"
    assert line(lambda log: log.info("%(count)d times count=%(count)d", about))["event"] == "2 times"


def test_ids_are_those_of_the_context_unless_the_line_knows_better(line):
    tracing.begin(request="r", user=7)
    found = line(lambda log: log.info("open user=%(user)s", {"user": 8}))
    assert (found["request"], found["user"]) == ("r", 8)


def test_an_exception_is_one_string_of_the_same_line(line):
    def fail(log):
        try:
            raise ValueError("one\ntwo")
        except ValueError:
            log.exception("failed connection=%(connection)s", {"connection": "abc"})

    found = line(fail)
    assert (found["event"], found["connection"]) == ("failed", "abc")
    assert found["exception"].startswith("Traceback (most recent call last)")
    assert found["exception"].endswith("ValueError: one\ntwo")


@pytest.mark.parametrize(
    "hostile", ['"}\n{"event": "forged"}', "a\r\nb", "\x1b[2J", "\u2028", "\ud800", "\0", "%(x)s %s %", "é"], ids=ascii
)
def test_nothing_forges_or_breaks_a_line(line, hostile):
    assert line(lambda log: log.info("said %s", hostile))["event"] == f"said {hostile}"
    found = line(lambda log: log.info("said by=%(by)s", {"by": hostile}))
    assert (found["event"], found["by"]) == ("said", hostile)
    tracing.begin(request=hostile)
    assert line(lambda log: log.info("said"))["request"] == hostile


def test_a_field_does_not_pass_for_the_head_of_a_line(line):
    forged = dict.fromkeys(("time", "level", "logger", "event"), "forged")
    found = line(lambda log: log.info("said time=%(time)s level=%(level)s logger=%(logger)s", forged))
    assert "forged" not in found.values()


def test_what_a_library_hangs_on_a_record_is_left_out(line):
    assert "request" not in line(lambda log: log.error("failed", extra={"request": "GET /?ticket=x"}))


def test_what_was_audited_is_an_object_in_the_line(line):
    audited = {"event": "session_expired:7,logged_out", "act": "session_ended", "user": 7}
    found = line(lambda log: log.info("%s", json.dumps(audited), extra={"audited": audited}))
    assert (found["event"], found["audit"]) == (audited["event"], audited)
