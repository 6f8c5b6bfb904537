"""What there is to know of channels_redis' pub/sub layer (4.3, pubsub.py): its servers, and which channel of which of
them it publishes a group's messages to.

`fanout` publishes there from threads and `live/ears.py` subscribes there on the event loop, each on connections of
their own: so that neither waits longer than it chose to, and a site's own `group_send` is heard all the same.
"""

import time
from typing import Any, Final

CHANNEL: Final = "{prefix}__group__{group}"


def is_ours(layer: Any) -> bool:
    """Whether the layer is of this kind."""
    return type(layer).__module__ == "channels_redis.pubsub"


class RedisLayer:
    """A pub/sub layer, seen from below."""

    def __init__(self, layer: Any) -> None:
        from channels_redis.utils import decode_hosts  # here, and below: a site without Redis has no such package

        self.serialize = layer.serialize
        self.deserialize = layer.deserialize
        self._prefix = layer._kwargs.get("prefix", "asgi")
        self._hosts = decode_hosts(layer._kwargs.get("hosts"))

    @property
    def servers(self) -> range:
        """Their numbers: a site may have spread its layer over several."""
        return range(len(self._hosts))

    def channel(self, group: str) -> str:
        """The Redis channel of a group."""
        return CHANNEL.format(prefix=self._prefix, group=group)

    def group(self, channel: bytes) -> str:
        """The group of such a channel."""
        return channel.decode("latin-1")[len(self.channel("")) :]

    def server(self, group: str) -> int:
        """Which server has the group."""
        from channels_redis.utils import _consistent_hash

        return int(_consistent_hash(self.channel(group), len(self._hosts)))

    def publisher(self, server: int, *, patience: float) -> Any:
        """A client for threads that gives up connecting, and each answer, after `patience` seconds and tries once."""
        import redis

        options = {**self._hosts[server], "socket_timeout": patience, "socket_connect_timeout": patience, "retry": None}
        address = options.pop("address", None)
        return redis.Redis.from_url(address, **options) if address else redis.Redis(**options)

    def version(self, server: int, *, patience: float) -> tuple[str, str]:
        """What the server is, `redis` or `valkey`, and its version."""
        client = self.publisher(server, patience=patience)
        try:
            said = client.info("server")
        finally:
            client.close()
        if "valkey_version" in said:
            return "valkey", said["valkey_version"]
        return "redis", said["redis_version"]

    def round_trip(self, server: int, group: str, message: dict[str, Any], *, patience: float) -> float:
        """Seconds from publishing a group's message until it is heard again. Raises `TimeoutError`, or as redis-py."""
        client = self.publisher(server, patience=patience)
        try:
            with client.pubsub(ignore_subscribe_messages=False) as ear:
                ear.subscribe(self.channel(group))
                ear.get_message(timeout=patience)  # that it listens now
                sent = time.monotonic()
                client.publish(self.channel(group), self.serialize(message))
                heard = ear.get_message(timeout=patience)
                if heard is None or self.deserialize(heard["data"]) != message:
                    raise TimeoutError(f"nothing was heard within {patience:g} s")
                return time.monotonic() - sent
        finally:
            client.close()

    def connection(self, server: int, *, patience: float) -> Any:
        """
        A redis.asyncio connection, not yet connected, that gives up connecting and each answer after `patience` seconds
        and never connects again by itself: whoever uses it must know that it was lost.
        """
        from channels_redis.utils import create_pool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        return create_pool(
            {
                **self._hosts[server],
                "socket_timeout": patience,
                "socket_connect_timeout": patience,
                "health_check_interval": 0,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 2,  # in which a message is a plain answer
                "decode_responses": False,
            }
        ).make_connection()
