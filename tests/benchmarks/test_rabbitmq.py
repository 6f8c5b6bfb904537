from benchmarks.rabbitmq import LISTENER, stomp


def test_a_frame_of_stomp():
    assert stomp(b"SEND", b"hello", destination=b"/topic/news", content_length=b"5") == (
        b"SEND\ndestination:/topic/news\ncontent-length:5\n\nhello\0"
    )
    assert stomp(b"ACK", id=b"%b") % b"T_0@@1" == b"ACK\nid:T_0@@1\n\n\0"


def test_what_is_acked_is_read_from_the_head_and_not_from_the_body():
    message = b"MESSAGE\nsubscription:0\nack:T_0@@session-x@@7\nredelivered:false\n\nbody\nack:no\n\0"
    found = LISTENER.position.search(message)
    assert LISTENER.ack % found[1] == b"ACK\nid:T_0@@session-x@@7\n\n\0"
