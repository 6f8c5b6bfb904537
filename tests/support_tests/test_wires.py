"""The wire does to connections what it says, and to nothing else."""

import asyncio
import contextlib
import ssl
import time
from types import SimpleNamespace

import pytest

from tests.deploy.fleet import NAME, make_certificate
from tests.support.processes import free_port
from tests.support.wires import Wire


@contextlib.asynccontextmanager
async def echo():
    """Says everything back, in capitals."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data.upper())
                await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        yield SimpleNamespace(port=port)
        server.close()


async def ask(reader, writer, said=b"hello", timeout=2.0):
    writer.write(said)
    return await asyncio.wait_for(reader.read(100), timeout)


async def test_it_carries_both_ways_and_to_the_end():
    async with echo() as server, Wire(server) as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await ask(reader, writer) == b"HELLO"
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        assert wire.carried == 1


async def test_a_cut_resets_what_is_open_and_what_is_new_until_it_is_mended():
    async with echo() as server, Wire(server) as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await ask(reader, writer) == b"HELLO"
        wire.cut()
        with pytest.raises(ConnectionError):
            assert not await asyncio.wait_for(reader.read(), 2)
            raise ConnectionResetError
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        with contextlib.suppress(ConnectionError):
            assert await ask(reader, writer) == b""
        writer.close()
        wire.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await ask(reader, writer) == b"HELLO"
        writer.close()


async def test_a_hole_swallows_until_it_is_mended_and_then_everything_arrives():
    async with echo() as server, Wire(server) as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await ask(reader, writer) == b"HELLO"
        wire.hole()
        with pytest.raises(TimeoutError):
            await ask(reader, writer, b"anybody", timeout=0.2)
        wire.mend()
        assert await asyncio.wait_for(reader.read(100), 2) == b"ANYBODY"
        writer.close()


async def test_slow_is_slow_each_way():
    async with echo() as server, Wire(server) as wire:
        wire.slow(0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        began = time.monotonic()
        assert await ask(reader, writer) == b"HELLO"
        assert time.monotonic() - began >= 0.2
        writer.close()


async def test_new_connections_take_turns_and_pass_over_servers_that_are_gone():
    gone = SimpleNamespace(port=free_port())
    async with echo() as one, echo() as other, Wire(one, gone, other) as wire:
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
            assert await ask(reader, writer) == b"HELLO"
            writer.close()
        assert wire.carried == 6


async def test_it_changes_what_servers_say_and_nothing_else():
    async with echo() as server, Wire(server) as wire:
        wire.change = lambda said: said.replace(b"HELLO", b"BYE")
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await ask(reader, writer, b"hello bye") == b"BYE BYE"
        writer.close()


async def test_with_a_certificate_it_speaks_tls_in_front_of_one_that_does_not(tmp_path):
    certificate = make_certificate(tmp_path / "certificate")
    async with echo() as server, Wire(server, certificate=certificate) as wire:
        trusted = ssl.create_default_context(cafile=certificate / "fullchain.pem")
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port, ssl=trusted, server_hostname=NAME)
        assert await ask(reader, writer) == b"HELLO"
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        with contextlib.suppress(ConnectionError):
            assert b"HELLO" not in await ask(reader, writer)
        writer.close()
