import asyncio

import pytest

from tickets.places import Full, Places


def places(**how):
    return Places(**{"at_once": 2, "line": 3, "patience": 5, "stuck_after": 5} | how)


async def soon(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def line_up(room, count):
    """So many that wait, in this order."""
    turns = []
    for _ in range(count):
        before = room.waiting
        turns.append(asyncio.create_task(room.enter()))
        await soon(lambda before=before: room.waiting > before)
    return turns


async def test_at_most_so_many_are_inside_and_the_others_follow_in_order():
    room = places()
    inside = [await room.enter(), await room.enter()]
    turns = await line_up(room, 3)
    assert (room.inside, room.waiting) == (2, 3)
    room.leave(inside[1])
    third = await turns[0]
    assert (room.inside, room.waiting) == (2, 2)
    room.leave(third)
    assert await turns[1]
    assert not turns[2].done()
    turns[2].cancel()


async def test_nobody_overtakes_the_line():
    room = places(at_once=1)
    place = await room.enter()
    (turn,) = await line_up(room, 1)
    room.leave(place)
    assert room.try_enter() is None, "the place is given to the one who waits, in the same moment"
    assert await turn


async def test_leaving_twice_frees_one_place():
    room = places(at_once=1)
    place = await room.enter()
    room.leave(place)
    room.leave(place)
    await room.enter()
    assert room.try_enter() is None


async def test_a_line_has_an_end():
    room = places()
    await room.enter(), await room.enter()
    turns = await line_up(room, 3)
    with pytest.raises(Full):
        await room.enter()
    for turn in turns:
        turn.cancel()


async def test_patience_has_an_end():
    room = places(at_once=1, patience=0.05)
    place = await room.enter()
    with pytest.raises(Full):
        await room.enter()
    assert room.waiting == 0
    room.leave(place)
    assert await room.enter()


async def test_whoever_is_cancelled_leaves_the_line():
    room = places(at_once=1)
    place = await room.enter()
    first, second = await line_up(room, 2)
    first.cancel()
    await asyncio.wait([first])
    assert room.waiting == 1
    room.leave(place)
    assert await second


async def test_a_place_given_at_the_moment_of_giving_up_is_passed_on():
    room = places(at_once=1)
    place = await room.enter()
    first, second = await line_up(room, 2)
    room.leave(place)  # it is the first one's now, who has not run since
    first.cancel()
    assert await second
    assert (room.inside, room.waiting) == (1, 0)


async def test_while_all_are_stuck_nobody_waits():
    room = places(stuck_after=0.05)
    stuck = [await room.enter(), await room.enter()]
    for turn in await line_up(room, 2):
        with pytest.raises(Full):
            await turn
    with pytest.raises(Full):
        await room.enter()
    room.leave(stuck[0])
    assert await room.enter()


async def test_one_that_moves_is_reason_to_wait():
    room = places(stuck_after=0.05)
    await room.enter()
    await asyncio.sleep(0.06)
    moving = await room.enter()
    (turn,) = await line_up(room, 1)
    room.leave(moving)
    assert await turn
