"""`python -m tests.journeys.push GROUP JSON…`: what a service does that knows Channels and nothing of this project."""

import json
import sys

import django
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

django.setup()

group, *messages = sys.argv[1:]
for said in messages:
    async_to_sync(get_channel_layer().group_send)(group, {"type": "notification.push", **json.loads(said)})
