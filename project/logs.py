"""What servers log of their peers, kept to a line: a stranger shall not be able to write tracebacks into the log."""

import logging

# uvicorn answers these with the right close code and then logs them as if they were its own fault.
_OF_PEERS = ("Invalid UTF-8 sequence received from client.",)


class WithoutTracebacksOfPeers(logging.Filter):
    """Keeps the line, drops the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in _OF_PEERS:
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
