"""Real kernels for the tests: start, execute, interrupt, and look at all that came out."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

# A slow machine starts a kernel in a few seconds; a hang is told from slowness by this.
TIMEOUT_S = 60.0


# The secret half of the key of each `GlmServer`.
CANARY = "test-secret"
# What a developer's shell may hold and no kernel of a test may see.
_UNSET = (
    "ZAI_API_KEY",
    "ZAI_BASE_URL",
    "ZHIPUAI_API_KEY",
    "ZHIPUAI_BASE_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)


@dataclass
class Cell:
    """What one executed cell gave; `payload` is what a pager would show."""

    status: str = ""
    payload: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def contents(self, kind: str) -> list[dict[str, Any]]:
        """The contents of all messages of one type, in order."""
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    @property
    def stdout(self) -> str:
        return "".join(c["text"] for c in self.contents("stream") if c["name"] == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(c["text"] for c in self.contents("stream") if c["name"] == "stderr")

    @property
    def error_line(self) -> str:
        """The traceback of the one error, which is one line unless it is a bug."""
        (error,) = self.contents("error")
        return "\n".join(error["traceback"])

    @property
    def plain_error(self) -> str:
        """The traceback of the one error, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.error_line)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The outputs as a saved notebook has them: an update replaces what it updates."""
        outputs: list[dict[str, Any]] = []
        for message in self.messages:
            content = message["content"]
            if message["msg_type"] in ("display_data", "execute_result"):
                outputs.append(dict(content))
            elif message["msg_type"] == "update_display_data":
                for output in outputs:
                    if output.get("transient") == content["transient"]:
                        output |= {"data": content["data"], "metadata": content["metadata"]}
        return outputs

    @property
    def output(self) -> dict[str, Any]:
        """The one output."""
        (output,) = self.outputs
        return output

    @property
    def html(self) -> str:
        """The HTML of the one output."""
        html: str = self.output["data"]["text/html"]
        return html

    @property
    def tags(self) -> str:
        """The HTML of the one output, its tags without their attributes."""
        return re.sub(r"<(\w+)\s[^>]*>", r"<\1>", self.html)

    @property
    def text(self) -> str:
        """All that came out, as JSON; not the code that went in."""
        shown = [m["content"] for m in self.messages if m["msg_type"] != "execute_input"]
        return json.dumps(shown, ensure_ascii=False, default=str)

    @property
    def open_comms(self) -> set[str]:
        """The comms that this cell opened and did not close."""
        opened = {c["comm_id"] for c in self.contents("comm_open")}
        return opened - {c["comm_id"] for c in self.contents("comm_close")}

    @property
    def live_html(self) -> list[tuple[float, str]]:
        """When each value of an HTML widget came (`at`), and the value."""
        return [
            (m["at"], m["content"]["data"]["state"]["value"])
            for m in self.messages
            if m["msg_type"] in ("comm_open", "comm_msg")
            and isinstance(m["content"]["data"].get("state", {}).get("value"), str)
        ]

    def shows(self, text: str) -> bool:
        """Whether a widget has shown `text` so far."""
        return any(text in value for _, value in self.live_html)

    def comm_of(self, model: str) -> str:
        """The id of the one comm of a widget model such as "ButtonModel"."""
        (comm_id,) = (
            c["comm_id"]
            for c in self.contents("comm_open")
            if c["data"]["state"]["_model_name"] == model
        )
        return str(comm_id)


class Kernel:
    """One running kernel and a client of it.

    Attributes:
        log: every message that the kernel published so far.
    """

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client
        self.log: list[dict[str, Any]] = []

    def send(self, code: str, *, allow_stdin: bool = True, cell_id: str = "") -> str:
        """Ask for the execution of `code`; return the id of the request.

        Args:
            allow_stdin: whether somebody can type, as in every front end; a program that runs
                notebooks says no.
            cell_id: the notebook's id of the cell, as a front end tells it.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": True,
        }
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def run(self, code: str, *, allow_stdin: bool = True, cell_id: str = "") -> Cell:
        """Execute `code` and wait until the kernel is idle again."""
        return self.wait(self.send(code, allow_stdin=allow_stdin, cell_id=cell_id))

    def restart(self) -> None:
        """Start the kernel anew, as a front end does: all that it held is gone."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=TIMEOUT_S)

    def run_typing(self, code: str, answer: str) -> tuple[Cell, dict[str, Any]]:
        """Execute `code`, type `answer` when asked; return the cell and what was asked."""
        request_id = self.send(code)
        asked = self.client.get_stdin_msg(timeout=TIMEOUT_S)["content"]
        self.client.input(answer)
        return self.wait(request_id), asked

    def wait(self, request_id: str, cell: Cell | None = None) -> Cell:
        """Wait until the request is done; return all that it gave, after what `cell` has."""
        cell = self.read(request_id, lambda _: False, cell)
        reply = self.client.get_shell_msg(timeout=TIMEOUT_S)
        while reply["parent_header"].get("msg_id") != request_id:
            reply = self.client.get_shell_msg(timeout=TIMEOUT_S)
        cell.status = reply["content"]["status"]
        pages = reply["content"].get("payload", [])
        cell.payload = "".join(page.get("data", {}).get("text/plain", "") for page in pages)
        return cell

    def read(
        self, request_id: str, is_enough: Callable[[Cell], bool], cell: Cell | None = None
    ) -> Cell:
        """Read messages of a running request until what came is enough, or it is done."""
        cell = Cell() if cell is None else cell
        for message in self._messages(request_id):
            cell.messages.append(message)
            if is_enough(cell):
                break
        return cell

    def _messages(self, request_id: str) -> Iterator[dict[str, Any]]:
        """Yield the iopub messages of a request as they come, each with `at` (time.time())."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise TimeoutError(f"the kernel was not idle within {TIMEOUT_S} s") from None
            self.log.append(message)
            if message["parent_header"].get("msg_id") != request_id:
                continue
            if message["content"].get("execution_state") == "idle":
                return
            yield message | {"at": time.time()}

    def interrupt(self) -> None:
        """Interrupt as a front end does."""
        self.manager.interrupt_kernel()

    def click(self, comm_id: str) -> None:
        """Click a button as JupyterLab does: on a subshell, for the main one may be busy."""
        session, channel = self.client.session, self.client.control_channel
        channel.send(session.msg("create_subshell_request", {}))
        reply = self.client.get_control_msg(timeout=TIMEOUT_S)
        click = {"method": "custom", "content": {"event": "click"}}
        message = session.msg("comm_msg", {"comm_id": comm_id, "data": click})
        message["header"]["subshell_id"] = reply["content"]["subshell_id"]
        self.client.shell_channel.send(message)

    def value(self, expression: str) -> Any:
        """The repr of an expression, read back as a Python literal."""
        cell = self.run(f"print(repr({expression}))")
        assert cell.status == "ok", cell.contents("error")
        return ast.literal_eval(cell.stdout)


def assert_no_key(log: list[dict[str, Any]]) -> None:
    """Fail where the loopback server's key came out of a kernel, in whatever message.

    Every kernel of the tests ends here: the key was in its environment, typed at its prompts,
    and in each of its requests. What a test has typed into a cell is not its doing.
    """
    shown = [message["content"] for message in log if message["msg_type"] != "execute_input"]
    place = (text := json.dumps(shown, default=str)).find(CANARY)
    assert place < 0, text[max(0, place - 500) : place + 500]


@contextmanager
def start_kernel(env: Mapping[str, str], python: str = sys.executable) -> Iterator[Kernel]:
    """Run a kernel of this very interpreter, with a profile of IPython of its own.

    Args:
        env: variables to set; of the caller's own, those of keys and proxies are not seen.
        python: the path of another interpreter, which has ipykernel.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
    manager = KernelManager()
    manager.kernel_spec.argv = [
        python,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        manager.start_kernel(env={**inherited, "IPYTHONDIR": folder, **env})
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=TIMEOUT_S)
            kernel = Kernel(manager, client)
            yield kernel
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
        assert_no_key(kernel.log)
