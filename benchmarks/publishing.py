"""Both ways to publish, in the three workloads; called from another process (`backstage`) or inside the server's."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from benchmarks.content import TOPIC, WHAT
from benchmarks.plain.consumer import group_of
from benchmarks.plain.models import Message
from notifications.api import notify, notify_many, notify_topic


def _event(message: Message) -> dict[str, Any]:
    return {"type": "notify", "notification": message.as_json()}


# --- Usher ---


def usher_one(user_id: int, data: dict[str, Any] | None = None) -> None:
    notify(user_id, **(WHAT if data is None else WHAT | {"data": data}))


def usher_topic(_user_id: int) -> None:
    notify_topic(TOPIC, **WHAT)


def usher_many(user_ids: Sequence[int]) -> None:
    notify_many(user_ids, **WHAT)


# --- The plain way ---


def plain_one(user_id: int, data: dict[str, Any] | None = None) -> None:
    """As a synchronous view does it."""
    message = Message.objects.create(user_id=user_id, **(WHAT if data is None else WHAT | {"data": data}))
    async_to_sync(get_channel_layer().group_send)(group_of(user_id), _event(message))


def plain_many(user_ids: Sequence[int]) -> None:
    """As somebody does it who has many to tell: rows in bulk, and one loop, hence one connection, for all messages."""
    async_to_sync(_send_all)(_create_all(user_ids))


def _create_all(user_ids: Sequence[int]) -> list[Message]:
    return Message.objects.bulk_create([Message(user_id=user_id, **WHAT) for user_id in user_ids], batch_size=500)


async def _send_all(messages: Sequence[Message]) -> None:
    layer = get_channel_layer()
    for message in messages:
        await layer.group_send(group_of(message.user_id), _event(message))


def plain_after_commit(user_id: int, data: dict[str, Any]) -> None:
    """In a transaction: nobody is told of what might be rolled back."""
    message = Message.objects.create(user_id=user_id, **(WHAT | {"data": data}))
    send = async_to_sync(get_channel_layer().group_send)
    transaction.on_commit(lambda: send(group_of(user_id), _event(message)))


ONE: dict[str, Callable[..., None]] = {"usher": usher_one, "plain": plain_one}
MANY: dict[str, Callable[..., None]] = {"usher": usher_many, "plain": plain_many}
ON_A_TOPIC: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("usher", "stomp", "cable"), usher_topic),
    "plain": plain_one,
}
STEADY: dict[str, Callable[..., None]] = {"usher": usher_one, "plain": plain_after_commit}


def publish(*, side: str, workload: str, user_ids: Sequence[int], rounds: int) -> dict[str, float]:
    """`rounds` notifications to each of these people; seconds and CPU seconds of this process."""
    wall, cpu = time.monotonic(), time.process_time()
    for _ in range(rounds):
        if workload == "b":
            MANY[side](user_ids)
        else:
            for user_id in user_ids:
                (ON_A_TOPIC if workload == "c" else ONE)[side](user_id)
    return {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}


def steadily(*, side: str, user_ids: Sequence[int], rate: float, first: int, count: int) -> list[float]:
    """
    `count` notifications at `rate` a second to these people in turn, numbered from `first` in their data; each in a
    transaction of its own. Returns when each COMMIT returned, before anything that is done after it.
    """
    committed: list[float] = []
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(time.monotonic()))
            STEADY[side](user_ids[number % len(user_ids)], {"n": first + number})
    return committed


# --- Inside the server ---


@csrf_exempt
async def view(request: HttpRequest) -> JsonResponse:
    """POST what `publish()` takes. The plain way publishes on the server's own loop, which is the kindest to it."""
    wanted = json.loads(request.body)
    if wanted["side"] in ("usher", "stomp", "cable"):
        return JsonResponse(await asyncio.to_thread(publish, **wanted))
    for _ in range(wanted["rounds"]):
        if wanted["workload"] == "b":
            await _send_all(await asyncio.to_thread(_create_all, wanted["user_ids"]))
        else:
            for user_id in wanted["user_ids"]:
                message = await Message.objects.acreate(user_id=user_id, **WHAT)
                await get_channel_layer().group_send(group_of(user_id), _event(message))
    return JsonResponse({})
