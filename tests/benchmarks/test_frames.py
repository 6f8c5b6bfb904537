import pytest
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from benchmarks.frames import CLOSE, PING, TEXT, Reader, Violation, frame, upgrade_request


@pytest.fixture
def server():
    """Somebody else's idea of the protocol, after the handshake."""
    protocol = ServerProtocol()
    protocol.receive_data(upgrade_request("/ws/", host="127.0.0.1:1", headers={"Cookie": "sessionid=x"}))
    (request,) = protocol.events_received()
    assert request.path == "/ws/"
    assert request.headers["Cookie"] == "sessionid=x"
    response = protocol.accept(request)
    assert response.status_code == 101
    protocol.send_response(response)
    protocol.data_to_send()
    return protocol


@pytest.mark.parametrize("size", [0, 1, 4, 25, 125, 126, 65_535, 65_536])
def test_another_implementation_reads_what_is_sent(server, size):
    server.receive_data(frame(TEXT, b"x" * size))
    (received,) = server.events_received()
    assert (received.opcode, received.data) == (Opcode.TEXT, b"x" * size)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_what_another_implementation_sends_is_read(server, size):
    server.send_text(b"x" * size)
    assert Reader().feed(b"".join(server.data_to_send())) == [(TEXT, b"x" * size)]


def test_frames_that_come_in_pieces_or_together_are_the_same_frames():
    stream = b"".join(Frame(Opcode(opcode), data).serialize(mask=False) for opcode, data in FRAMES)
    together, piece_by_piece = Reader(), Reader()
    assert together.feed(stream) == FRAMES
    assert [found for byte in stream for found in piece_by_piece.feed(bytes([byte]))] == FRAMES


FRAMES = [(TEXT, b"one"), (PING, b""), (TEXT, b"y" * 300), (CLOSE, b"\x03\xe8")]


def test_what_the_reader_does_not_know_is_no_silence():
    with pytest.raises(Violation, match="masked"):
        Reader().feed(frame(TEXT, b"x"))
    with pytest.raises(Violation, match="fragmented"):
        Reader().feed(b"\x01\x01x")
    with pytest.raises(Violation, match="compressed"):
        Reader().feed(b"\xc1\x01x")
