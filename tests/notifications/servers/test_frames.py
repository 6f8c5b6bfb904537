import pytest
from websockets.frames import Frame, Opcode

from notifications.servers.frames import text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("letter", ["a", "é", "🎟"])
def test_a_frame_is_what_websockets_would_write(size, letter):
    text = letter * (size // len(letter.encode()))
    assert text_frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def test_the_same_text_is_spelled_once_and_another_one_anew():
    text = "hello " * 10
    assert text_frame(text) is text_frame(text)
    equal = "".join(["hello "] * 10)
    assert text_frame(equal) == text_frame(text)
    assert text_frame("other") != text_frame(text)


async def test_long_and_foreign_words_arrive_on_both_servers(site):
    person = site.newcomer()
    bodies = ["", "a" * 100, "é" * 4_000, "🎟" * 4_000]
    async with person.connect() as socket:
        await socket.expect("welcome")
        service = site.person("service")
        for body in bodies:
            said = {"user": person.username, "title": "x", "body": body}
            assert (await service.post("/api/notifications/", said)).status_code == 201
        frames = await socket.expect_many(len(bodies), "notification")
    assert [frame["body"] for frame in frames] == bodies
