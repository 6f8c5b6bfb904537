import json

from tickets import audit


def test_a_line_is_one_json_object(audited):
    audit.record("thing_done", user=7, ratio=0.5, who="alice")
    assert audited() == [{"event": "thing_done", "ok": True, "user": 7, "ratio": 0.5, "who": "alice"}]


def test_what_is_unknown_is_left_out(audited):
    audit.record("thing_done", user=None)
    assert audited() == [{"event": "thing_done", "ok": True}]


def test_nobody_can_forge_a_second_line(caplog, audited):
    audit.record("thing_done", name='x"}\r\n{"event": "forged"}\u2028\x1b[2J\udc80')
    message = caplog.records[-1].getMessage()
    assert message.isascii()
    assert message.isprintable()
    assert json.loads(message)["event"] == "thing_done"


def test_long_values_are_cut(audited):
    audit.record("thing_done", name="x" * 10_000)
    assert audited()[0]["name"] == "x" * audit.LONGEST_VALUE


def test_refusals_are_warnings(caplog):
    audit.record("thing_done", ok=False)
    assert caplog.records[-1].levelname == "WARNING"
