import logging

from project.logs import WithoutTracebacksOfPeers


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
