"""What the terminal's commands do, once it is known what is asked for. Each answers how it ended."""

import asyncio
import contextlib
import os
import select
import stat
from argparse import Namespace
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TextIO

from ..wire.vocabulary import Notification, Welcome
from . import printing
from .client import Client
from .errors import Refused
from .inbox import Event
from .keeping import Kept
from .spelling import Denied, Reset, Subscribed, line
from .steps import StateChange, StateName

Connect = Callable[..., Client]
"""Makes the client; takes what the command wants of it besides."""


class Exit(IntEnum):
    """How a command ends, for the shell."""

    DONE = 0
    REFUSED = 1  # the site said no, or closed the connection for good
    USAGE = 2
    SIGN_IN = 3
    UNREACHABLE = 4
    TOO_FEW = 5  # --timeout came before --count
    INTERRUPTED = 130


class Terminal:
    """Two streams. What is printed is out at once; `closed` is called when nobody reads it any more."""

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False, verbose: bool = False) -> None:
        self._out, self._err = out, err
        self._quiet, self._verbose = quiet, verbose

    def print(self, text: str) -> None:
        """Raises BrokenPipeError if nobody reads it."""
        self._out.write(f"{text}\n")
        self._out.flush()

    def note(self, text: str, *, verbose: bool = False) -> None:
        if not self._quiet and (self._verbose or not verbose):
            self._err.write(f"{text}\n")
            self._err.flush()

    def state(self, change: StateChange) -> None:
        if change.state is StateName.WAITING:
            self.note(printing.state(change))
        elif change.state in (StateName.CONNECTING, StateName.PAUSED):  # others are the command's own to tell
            self.note(printing.state(change), verbose=True)

    @contextlib.contextmanager
    def watching(self, closed: Callable[[], object]) -> Iterator[None]:
        """While there is nothing to print, only the kernel can tell that a pipe's other end is gone."""
        try:
            pipe = self._out.fileno() if stat.S_ISFIFO(os.fstat(self._out.fileno()).st_mode) else None
        except (OSError, ValueError):
            pipe = None
        if pipe is None:
            yield
            return
        poll = select.poll()
        poll.register(pipe, 0)  # errors only
        loop = asyncio.get_running_loop()

        def look() -> None:
            if poll.poll(0):
                loop.remove_reader(pipe)
                closed()

        loop.add_reader(pipe, look)
        try:
            yield
        finally:
            loop.remove_reader(pipe)


async def tail(connect: Connect, options: Namespace, terminal: Terminal) -> Exit:
    kept = Kept(options.resume) if options.resume else None
    position = (kept.read() if kept else None) or (None if isinstance(options.since, int) else options.since)
    following = _Following(options, terminal, kept)
    async with connect(position=position, on_state=terminal.state) as client:
        task = asyncio.create_task(following.follow(client, rewind=position is None))
        try:
            with terminal.watching(task.cancel):
                await asyncio.wait([task], timeout=options.timeout)
            if task.done():
                return Exit.DONE if task.cancelled() else task.result()
            connected = client.state == StateName.CONNECTED
        finally:
            task.cancel()
    if not connected:
        return Exit.UNREACHABLE
    return Exit.TOO_FEW if options.count else Exit.DONE


class _Following:
    def __init__(self, options: Namespace, terminal: Terminal, kept: Kept | None) -> None:
        self._options, self._terminal, self._kept = options, terminal, kept
        self._printed = 0

    async def follow(self, client: Client, *, rewind: bool) -> Exit:
        if rewind and isinstance(self._options.since, int):
            await client.rewind(self._options.since)
        for topic in self._options.topic:
            client.subscribe(topic, since=self._kept.topics.get(topic) if self._kept else None)
        async for event in client.events():
            self._show(event)
            if self._kept:  # only now: who is killed in between prints one twice, and misses none
                self._kept.write(client.position, client.positions)
            if isinstance(event, Welcome):  # and whoever hears this has a position
                self._terminal.note("Connected.")
            if self._printed == self._options.count:
                break
        return Exit.DONE

    def _show(self, event: Event) -> None:
        match event:
            case Notification():
                self._terminal.print(line(event) if self._options.json else printing.notification(event))
                self._printed += 1
            case Reset():
                if self._options.json:
                    self._terminal.print(line(event))
                self._terminal.note(printing.gap(event))
            case Subscribed():
                self._terminal.note(f"Listening to {event.topic}.")
            case Denied():
                raise Refused(f"The topic {event.topic} is not for you ({event.code}).", code=event.code)


async def send(connect: Connect, options: Namespace, terminal: Terminal) -> Exit:
    async with connect() as client:
        answer = await client.send(
            options.user,
            title=options.title,
            body=options.body,
            kind=options.kind,
            level=options.level,
            url=options.link,
            data=options.data,
            idempotency_key=options.idempotency_key,
        )
    terminal.print(printing.plain(answer["id"]))
    return Exit.DONE


async def sessions(connect: Connect, options: Namespace, terminal: Terminal) -> Exit:
    async with connect() as client:
        if options.end:
            await client.end_session(options.end)
            terminal.note("Ended.")
        elif options.end_others:
            terminal.note(f"Ended: {await client.end_other_sessions()}.")
        else:
            for row in await client.sessions():
                terminal.print(printing.session(row))
    return Exit.DONE
