import logging
import shutil

from tickets.logs import AuditFile


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
