from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer


def group_of(user_id: int) -> str:
    return f"user_{user_id}"


class PlainConsumer(AsyncJsonWebsocketConsumer):
    """One group a person; what is sent to it is passed on."""

    group: str | None = None

    async def connect(self) -> None:
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close()
            return
        self.group = group_of(user.pk)
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.group is not None:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive_json(self, content: Any, **_: Any) -> None:
        """Acks: taken, and nothing done with them."""

    async def notify(self, event: dict[str, Any]) -> None:
        await self.send_json(event["notification"])
