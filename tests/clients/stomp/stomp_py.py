"""stomp.py as it comes from PyPI, by remote control as driver.mjs has it."""

import json
import sys
from urllib.parse import urlsplit

import stomp


def say(*words):
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


class Listener(stomp.ConnectionListener):
    def __init__(self, heard):
        self.heard = heard

    def on_connected(self, frame):
        say("connected", frame.headers)

    def on_message(self, frame):
        self.heard.append(frame)
        say("message", {"headers": frame.headers, "body": json.loads(frame.body)})

    def on_receipt(self, frame):
        say("receipt", frame.headers)

    def on_error(self, frame):
        say("error", {"headers": frame.headers, "body": frame.body})

    def on_heartbeat(self):
        say("beat")

    def on_heartbeat_timeout(self):
        say("beat lost")

    def on_disconnected(self):
        say("closed", {"code": None})  # websocket-client keeps the code to itself


class Remote:
    def __init__(self):
        self.connection = None
        self.messages = []

    def open(self, url, headers, protocols=(), beats=0, binary=False):
        where = urlsplit(url)
        offered = {"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}
        self.connection = stomp.WSStompConnection(
            [(where.hostname, where.port)],
            ws_path=where.path,
            heartbeats=(beats, beats),
            reconnect_attempts_max=1,
            header=offered,
            binary_mode=binary,
        )
        self.connection.set_listener("", Listener(self.messages))
        self.connection.connect(headers=headers)

    def subscribe(self, destination, id, headers):  # noqa: A002 - the word of the wire
        headers = dict(headers)
        self.connection.subscribe(destination, id, ack=headers.pop("ack", "auto"), headers=headers)

    def unsubscribe(self, id, headers=None):  # noqa: A002
        self.connection.unsubscribe(id, headers=headers)

    def ack(self, message, headers):
        frame = self.messages[message]
        self.connection.ack(frame.headers["ack"], receipt=headers.get("receipt"))

    def nack(self, message, headers):
        self.connection.nack(self.messages[message].headers["ack"], receipt=headers.get("receipt"))

    def send(self, destination, headers, body=""):
        self.connection.send(destination, body, headers=headers)

    def begin(self):
        self.connection.begin("t")

    def close(self):
        self.connection.disconnect()
        say("deactivated")


remote = Remote()
for line in sys.stdin:
    command, arguments = json.loads(line)
    getattr(remote, command)(**(arguments or {}))
