"""nginx, where it is installed: without it these tests are left out, loudly; with CI=true that is a failure."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local import front
from tests.deploy.fleet import METRICS_TOKEN, NAME, Change, Fleet, Front, make_certificate
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def nginx() -> str:
    program = front.find()
    if program is None:
        message = "LEFT OUT, no nginx: `apt install nginx`, or SYSTEM_PACKAGES=1 .ci/run"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture(scope="session")
def production(stacks) -> Iterator[Stack]:
    """A site with DEBUG=0, as deploy/usher.env.example describes it, with the demo people in it all the same."""
    stack = stacks.make(
        "embedded",
        DEBUG="0",
        SECRET_KEY="production-" + "0123456789" * 5,
        JWT_SIGNING_KEY="tokens-" + "9876543210" * 5,
        ALLOWED_HOSTS=NAME,
        TRUSTED_PROXIES="unix",
        METRICS_TOKEN=METRICS_TOKEN,
        RABBITMQ_AUTH="1",
        RABBITMQ_MANAGEMENT_URL="http://usher-relay:password@127.0.0.1:15672",
        TICKETS_ISSUE_BURST="1000",
        TICKETS_SIGN_IN_PER_MINUTE_NAME="1000",
    )
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """Started by root, nginx works as somebody else, who could not pass through pytest's own directories."""
    with tempfile.TemporaryDirectory(prefix="usher-deploy-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def fleet(nginx, production, open_directory) -> Iterator[Fleet]:
    """Two processes, shared: who harms one makes their own."""
    made = Fleet(production, open_directory / "run")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def certificate(open_directory) -> Path:
    return make_certificate(open_directory / "certificate")


@pytest.fixture
def make_front(nginx, production, open_directory, certificate, monkeypatch) -> Iterator[Callable[..., Front]]:
    """`make_front(sockets, change=lambda text: …)`: the shipped nginx in front of the processes there."""
    made: list[Front] = []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "fullchain.pem"))

    def make(sockets: Path, change: Change = str) -> Front:
        directory = Path(tempfile.mkdtemp(prefix="nginx-", dir=open_directory))
        front_door = Front(nginx, directory, stack=production, sockets=sockets, certificate=certificate, change=change)
        made.append(front_door)
        front_door.start()
        return front_door

    yield make
    for front_door in made:
        front_door.stop()
