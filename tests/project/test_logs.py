import logging
import shutil

from project.logs import AuditFile, WithoutTracebacksOfPeers


def record(message):
    return logging.LogRecord("uvicorn.error", logging.ERROR, "x.py", 1, message, (), (ValueError, ValueError(), None))


def test_what_a_peer_did_is_a_line():
    said = record("Invalid UTF-8 sequence received from client.")
    assert WithoutTracebacksOfPeers().filter(said)
    assert (said.exc_info, said.levelname) == (None, "WARNING")


def test_what_we_did_keeps_its_traceback():
    said = record("Exception in ASGI application")
    assert WithoutTracebacksOfPeers().filter(said)
    assert said.exc_info
    assert said.levelname == "ERROR"


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
