import base64
import hashlib

import pytest

from tickets.minting import digest, is_shaped, mint


def test_a_ticket_is_32_random_bytes_and_never_the_same():
    made = {mint() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(base64.urlsafe_b64decode(ticket + "=")) == 32 for ticket in made)


def test_every_ticket_has_the_shape_of_one():
    assert all(is_shaped(mint()) for _ in range(1000))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 43 + "=",
        "A" * 42 + "\n",
        "A" * 43 + "\n",
        "A" * 42 + "+",
        "A" * 42 + "é",
        "٣" * 43,
        "\U0001f600" * 43,
        "\0" * 43,
        "A" * 4096,
        "A" * 42 + "B",  # same bytes as …A: a second spelling of one ticket
    ],
)
def test_what_mint_cannot_make_has_not(text):
    assert not is_shaped(text)


def test_the_digest_is_sha256_of_the_text():
    ticket = "A" * 43
    assert digest(ticket) == hashlib.sha256(ticket.encode()).hexdigest()
