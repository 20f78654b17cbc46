"""A loopback server that streams the GLM wire as fast as the client reads, for benches.

A program, so that its CPU time is not the client's: `python wire.py` prints its port, answers
until its standard input closes, and then ends. What a reply holds is told by the prompt, which
is the JSON of a `Plan`. Unlike `glm_server.py` it sends bytes built before the first is sent.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from functools import lru_cache

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=UTF-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """One reply.

    Attributes:
        events: with text; one more closes the reply.
        name: stands in every event, to tell the replies apart.
        pace_ms: between two events; 0 is all at once.
        stamped: the text of an event is the time it was sent, `time.perf_counter_ns()`, which
            is one clock for all processes of a machine.
    """

    events: int
    name: str = "w"
    pace_ms: float = 0.0
    stamped: bool = False

    def build_prompt(self) -> str:
        return json.dumps(asdict(self))

    def word(self, place: int) -> str:
        """The text of one event; every other one is Chinese, as two bytes a character cost."""
        return f"{self.name}{place} " if place % 2 else f"{self.name}{place}个字，"

    def text(self) -> str:
        return "".join(map(self.word, range(self.events)))


def build_chunk(delta: dict[str, str], **rest: object) -> bytes:
    """One HTTP chunk with one event, in the key order and with the ids of captured streams."""
    choice = {"index": 0, **rest.pop("choice", {}), "delta": {"role": "assistant", **delta}}
    chunk = {
        "id": "20261012091501a1b2c3d4e5f60718",
        "created": 1791767701,
        "object": "chat.completion.chunk",
        "model": "glm-4.7-flash",
        "choices": [choice],
        **rest,
    }
    data = json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode()
    return frame(b"data: " + data + b"\n\n")


def frame(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def build_last(events: int) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": events, "total_tokens": events + 9}
    last = build_chunk({"content": ""}, choice={"finish_reason": "stop"}, usage=usage)
    return last + frame(b"data: [DONE]\n\n") + END


@lru_cache(maxsize=8)
def build_whole(plan: Plan) -> bytes:
    chunks = (build_chunk({"content": plan.word(place)}) for place in range(plan.events))
    return HEAD + b"".join(chunks) + build_last(plan.events)


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection until its client leaves."""
    # Else the kernel holds a small event back until the one before is acknowledged.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as reader:
        try:
            while body := read_body(reader):
                send(connection, Plan(**json.loads(json.loads(body)["messages"][-1]["content"])))
        except OSError:
            pass  # the client left


def read_body(reader) -> bytes:
    length = 0
    for line in iter(reader.readline, b"\r\n"):
        if not line:
            return b""
        name, _, value = line.lower().partition(b":")
        if name == b"content-length":
            length = int(value)
    return reader.read(length)


def send(connection: socket.socket, plan: Plan) -> None:
    if not plan.pace_ms:
        connection.sendall(build_whole(plan))
        return
    chunks = [build_chunk({"content": plan.word(place)}) for place in range(plan.events)]
    connection.sendall(HEAD)
    start = time.perf_counter()
    for place, chunk in enumerate(chunks):
        time.sleep(max(0.0, start + place * plan.pace_ms / 1000 - time.perf_counter()))
        if plan.stamped:
            chunk = build_chunk({"content": f"{time.perf_counter_ns()} "})
        connection.sendall(chunk)
    connection.sendall(build_last(plan.events))


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
