import httpx
import pytest

from tests.support.processes import wait_until
from tests.support.servers import Server
from tests.support.stack import Stack, site_environment

LEAST = "tests.support_tests.application:application"


@pytest.fixture
def bare_stack(tmp_path):
    return Stack("embedded", tmp_path, site_environment())


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_server_is_up_when_made_and_comes_back_at_its_address(kind, bare_stack):
    with Server(kind, bare_stack, application=LEAST) as server:
        address = f"{server.http}/healthz"
        assert httpx.get(address).status_code == 200
        server.pause()
        with pytest.raises(httpx.TimeoutException):
            httpx.get(address, timeout=0.3)
        server.resume()
        assert httpx.get(address).status_code == 200
        server.kill()
        assert server.returncode == -9
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
        server.start()
        assert httpx.get(address).status_code == 200
        server.terminate()
        wait_until(lambda: server.returncode is not None, timeout=10, what="end")
    assert server not in Server.running
    assert server.complaints() == []


def test_a_server_that_cannot_start_says_why(bare_stack):
    with pytest.raises(RuntimeError, match='Could not import module "nowhere"'):
        Server("uvicorn", bare_stack, application="nowhere:application")


def test_complaints_are_found_in_the_log(bare_stack):
    with Server("uvicorn", bare_stack, application=LEAST) as server:
        before = server.log_size()
        with server.log_path.open("a") as log:
            log.write("fine\nTraceback (most recent call last):\n")
        assert server.complaints(since=before) == ["Traceback (most recent call last):"]


def test_a_developers_own_environment_does_not_reach_the_site(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://precious/production")
    monkeypatch.setenv("TICKETS_OUTSTANDING", "1")
    environment = site_environment(REDIS_URL="redis://here")
    assert environment["DATABASE_URL"] == ""
    assert environment["REDIS_URL"] == "redis://here"
    assert "TICKETS_OUTSTANDING" not in environment
