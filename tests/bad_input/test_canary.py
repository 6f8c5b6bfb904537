"""That the search for secrets finds them."""

from tests.bad_input import canary


def test_a_secret_in_a_log_is_found_even_if_cut(tmp_path, monkeypatch):
    log = tmp_path / "server.log"
    monkeypatch.setattr(canary, "_logs", {log})
    log.write_text("nothing to see here\n")
    secret = canary.secret()
    assert canary.spilled() == []
    log.write_text(f"GET /ws/?ticket={secret[:30]}…\n")
    (found,) = canary.spilled()
    assert secret[:24] in found
