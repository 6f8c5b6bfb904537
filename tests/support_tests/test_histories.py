"""The judge is shown bad histories: one that it let pass would prove nothing about the good ones."""

import pytest

from tests.support.histories import Published, Reader, Socket, Verdict, judge

ME, OTHER = "u.1", "u.2"


def published(*seqs, stream=ME, **more):
    return [Published(stream, seq, f"{stream}/{seq}", **more) for seq in seqs]


def said(*seqs, stream=ME):
    return [{"type": "notification", "stream": stream, "seq": seq, "id": f"{stream}/{seq}"} for seq in seqs]


def skipped(through):
    return [{"type": "skipped", "stream": ME, "through": through}]


def reset(head):
    return [{"type": "reset", "stream": ME, "epoch": "b", "head": head}]


def verdict_on(history, *sockets, until=None) -> Verdict:
    sockets = [socket if isinstance(socket, Socket) else Socket(socket) for socket in sockets]
    return judge(history, [Reader("phone", frozenset({ME}), sockets, until=until)])


GOOD = {
    "everything once, in order": verdict_on(published(1, 2, 3), said(1, 2, 3)),
    "nothing published, nothing received": verdict_on([], []),
    "resumed on a second socket": verdict_on(published(1, 2, 3), said(1), Socket(said(2, 3), start={ME: 1})),
    "a socket that received nothing in between": verdict_on(
        published(1, 2), said(1), Socket([], start={ME: 1}), Socket(said(2), start={ME: 1})
    ),
    "began at the head": verdict_on(published(1, 2, 3), Socket(said(3), start={ME: 2})),
    "named as skipped": verdict_on(published(1, 2, 3), said(1) + skipped(3)),
    "told to fetch the list": verdict_on(published(1, 2, 3, 4), said(1) + reset(3) + said(4)),
    "not due yet": verdict_on(published(1, 2, 3), said(1), until={ME: 1}),
    "perhaps committed, and not": verdict_on([*published(1), Published(ME, None, "x", certain=False)], said(1)),
    "perhaps committed, and so": verdict_on([*published(1), Published(ME, None, f"{ME}/2", certain=False)], said(1, 2)),
    "other people's, not received": verdict_on(published(1) + published(1, stream=OTHER), said(1)),
    "transient frames have no number": verdict_on(published(1), [*said(1), {"type": "notification", "seq": None}]),
    "published before the end of the session": verdict_on(published(1, at=5.0), Socket(said(1), revoked_at=6.0)),
}

BAD = {
    "the last is missing": ("lost", verdict_on(published(1, 2), said(1)), "u.1:2"),
    "a middle one is missing": ("lost", verdict_on(published(1, 2, 3), said(1, 3)), "u.1:2"),
    "jumped over what nobody is sure of": (
        "lost",
        verdict_on([*published(1, 3), Published(ME, None, "x", certain=False)], said(1, 3)),
        "u.1:2 jumped over",
    ),
    "lost between two sockets": (
        "lost",
        verdict_on(published(1, 2, 3), said(1), Socket(said(3), start={ME: 2})),
        "u.1:2",
    ),
    "skipped too little": ("lost", verdict_on(published(1, 2, 3), said(1) + skipped(2)), "u.1:3"),
    "lost after a reset": ("lost", verdict_on(published(1, 2, 3), reset(2)), "u.1:3"),
    "lost though due": ("lost", verdict_on(published(1, 2, 3), said(1), until={ME: 2}), "u.1:2"),
    "of unknown number, lost": ("lost", verdict_on([Published(ME, None, "x")], []), "x"),
    "never published": ("phantom", verdict_on(published(1), said(1, 2)), "never published"),
    "under another number": (
        "phantom",
        verdict_on([Published(ME, 1, f"{ME}/2"), Published(ME, 2, f"{ME}/1")], said(1, 2)),
        "was published as u.1:2",
    ),
    "twice on one socket": ("duplicate", verdict_on(published(1, 2), said(1, 2, 2)), "u.1:2"),
    "again after resuming": (
        "duplicate",
        verdict_on(published(1, 2), said(1, 2), Socket(said(2), start={ME: 2})),
        "phone#2 u.1:2",
    ),
    "swapped": ("reordered", verdict_on(published(1, 2), said(2, 1)), "u.1:1 after 2"),
    "from before the position": ("reordered", verdict_on(published(1, 2), Socket(said(1), start={ME: 1})), "u.1:1"),
    "skipped backwards": ("reordered", verdict_on(published(1, 2), said(1, 2) + skipped(1)), "through 1 after 2"),
    "somebody else's": (
        "others",
        verdict_on(published(1) + published(1, stream=OTHER), said(1) + said(1, stream=OTHER)),
        "u.2:1",
    ),
    "published after the session had ended": (
        "after_revocation",
        verdict_on(published(1, at=7.0), Socket(said(1), revoked_at=6.0)),
        "1.000 s after the end",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_clean(name):
    assert GOOD[name].clean, str(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_caught(name):
    fault, verdict, told = BAD[name]
    assert fault in verdict.faults
    assert any(told in line for line in verdict.faults[fault]), str(verdict)


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("somebody else's", "lost between two sockets")])
def test_a_bad_history_is_called_by_one_name_where_one_is_enough(name):
    fault, verdict, _ = BAD[name]
    extra = set(verdict.faults) - {fault}
    assert extra <= ({"lost"} if name == "from before the position" else set()), str(verdict)


def test_resets_and_skips_are_counted():
    verdict = verdict_on(published(1, 2, 3, 4, 5), said(1) + skipped(3) + reset(4) + said(5))
    assert (verdict.clean, verdict.resets, verdict.skipped) == (True, 1, 2)


def test_readers_are_judged_apart():
    readers = [
        Reader("phone", frozenset({ME}), [Socket(said(1, 2))]),
        Reader("laptop", frozenset({ME}), [Socket(said(1))]),
    ]
    verdict = judge(published(1, 2), readers)
    assert verdict.faults == {"lost": ["laptop u.1:2 u.1/2"]}


def test_a_long_verdict_is_told_in_short():
    verdict = verdict_on(published(*range(1, 10)), [])
    assert str(verdict).startswith("9 lost: phone u.1:1 u.1/1;")
    assert str(verdict).endswith("…")
