"""`%glm check`: whether key, model, streaming and embeddings work, shown as it goes."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TextIO

from IPython.display import DisplayHandle, display

from glm_magic.api.check import STEPS, Finding, Plan, check
from glm_magic.api.client import AsyncClient
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.loop import Job, Put, pump
from glm_magic.errors import SettingsError, Stopped
from glm_magic.jupyter.runner import View, follow
from glm_magic.jupyter.views.show import is_terminal
from glm_magic.render.check import (
    CheckTable,
    ending_line,
    finding_line,
    render_check,
    render_check_plain,
)

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.session import Session


class CheckView(View, Protocol):
    """A view of one check."""

    def finish(self) -> None:
        """Show the check as it stays."""


def check_endpoint(glm: Glm) -> None:
    """Check the endpoint in use, one cheap call a feature; a step that fails is a row."""
    session, thread = glm.open()
    endpoint = glm.endpoint()
    client, plan = _plan(session, endpoint)

    async def work(put: Put) -> None:
        try:
            await pump(
                check(client, plan), lambda finding: put(_noted(session, plan, finding, endpoint))
            )
        finally:
            if plan.no_key:  # a client of this check alone
                await client.aclose()

    title = f"{endpoint.host} · {plan.model} · {plan.embedding_model}"
    view = _new_view(glm, CheckTable(title))
    _follow(Job(thread, work), view)


def _noted(session: Session, plan: Plan, finding: Finding, endpoint: Endpoint) -> Finding:
    """The finding, once what it took stands in the ledger."""
    model = plan.embedding_model if finding.step == "embeddings" else plan.model
    if finding.usage:
        session.note_usage(finding.usage, model, endpoint)
    return finding


def _plan(session: Session, endpoint: Endpoint) -> tuple[AsyncClient, Plan]:
    models = (session.model(endpoint), session.embedding_model(endpoint))
    try:
        key = session.keys.find(endpoint)
        client = session.client(endpoint)
    except SettingsError as error:
        return session.keyless_client(endpoint), Plan(*models, no_key=str(error))
    return client, Plan(*models, key.origin if key else "", auth=client.auth)


def _follow(job: Job[None], view: CheckView) -> None:
    try:
        with job:
            try:
                follow(job, view)
            finally:
                view.feed(job.take(0))  # what came as it was stopped
    except KeyboardInterrupt:
        raise Stopped("stopped; what was found so far is shown") from None
    finally:
        view.finish()


def _new_view(glm: Glm, table: CheckTable) -> CheckView:
    return LinesView(table) if is_terminal(glm.shell) else PageView(table)


class PageView:
    """One output, replaced as findings come."""

    def __init__(self, table: CheckTable) -> None:
        self.dirty = False
        self._table = table
        self._handle: DisplayHandle | None = display(self._bundle(), raw=True, display_id=True)

    def _bundle(self) -> dict[str, str]:
        return {
            "text/html": render_check(self._table),
            "text/plain": render_check_plain(self._table),
        }

    def feed(self, values: list[Finding]) -> None:
        """Take findings; `paint` shows them."""
        self._table = replace(self._table, findings=(*self._table.findings, *values))
        self.dirty = self.dirty or bool(values)

    def paint(self) -> None:
        """Show what is new."""
        if self.dirty and self._handle is not None:
            self._handle.update(self._bundle(), raw=True)
        self.dirty = False

    def finish(self) -> None:
        """Show the end, or that there is none."""
        self._table = _ended(self._table)
        self.dirty = True
        self.paint()


class LinesView:
    """A line for each finding, as it comes."""

    def __init__(self, table: CheckTable, out: TextIO | None = None) -> None:
        self.dirty = False
        self._table = table
        self._new: list[Finding] = []
        self._out = sys.stdout if out is None else out
        print(table.title, file=self._out)

    def feed(self, values: list[Finding]) -> None:
        """Take findings; `paint` prints them."""
        self._table = replace(self._table, findings=(*self._table.findings, *values))
        self._new.extend(values)
        self.dirty = bool(self._new)

    def paint(self) -> None:
        """Print what is new."""
        for finding in self._new:
            print(finding_line(finding), file=self._out, flush=True)
        self._new.clear()
        self.dirty = False

    def finish(self) -> None:
        """Print what is left, and the cost."""
        self.paint()
        print(ending_line(_ended(self._table)), file=self._out)


def _ended(table: CheckTable) -> CheckTable:
    return replace(table, is_stopped=len(table.findings) < len(STEPS))
