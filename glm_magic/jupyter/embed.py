"""A `%%glm embed` cell: its texts embedded and compared, or the models that embed them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from glm_magic.api.batches import find_limits
from glm_magic.api.catalog import billed_in
from glm_magic.api.cost import estimate_cost_of
from glm_magic.api.loop import CLOSE_TIMEOUT_S, Job
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import GlmError, SettingsError, Stopped
from glm_magic.jupyter.runner import follow, uninterrupted
from glm_magic.jupyter.views.bundles import line_bundle, value_bundle, value_metadata
from glm_magic.jupyter.views.progress import Progress
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.plan import PlanRow, render_plan, render_plan_plain
from glm_magic.session.corpus import (
    Corpus,
    find_variable,
    fit_texts,
    join,
    read_cell,
    read_labels,
    with_labels,
)
from glm_magic.session.embedding import EmbeddingRun, Taken
from glm_magic.study.comparison import Comparison, compare, with_cuts
from glm_magic.study.embeddings import Embeddings, build_embeddings

if TYPE_CHECKING:
    from glm_magic.api.endpoints import Endpoint
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.options import EmbedOptions

_KEEPING = "stopped; what came is kept, run the cell again to go on"
# With fewer requests the answer is there before a bar would be read.
_LEAST_BATCHES = 3


def run_embed(glm: Glm, cell: str, options: EmbedOptions) -> Embeddings | Comparison | None:
    """Embed the texts of a cell or a variable, and show how near they are to each other.

    Raises:
        SettingsError: there are no texts, or one is no text or too long, or the budget would be
            passed; nothing was sent.
        GlmError: the server refused, or sent no vectors; what came before is kept.
        Stopped: the kernel was interrupted; what came before is kept.
    """
    session, _ = glm.open()
    endpoint = glm.endpoint(is_dry=options.dry_run)
    models = options.models or (session.embedding_model(endpoint),)
    corpus, cut = _fitted(_read(glm, cell, options), models, options)
    embedding = _Embedding(glm, endpoint, corpus, cut, options)
    embedding.prepare(models)
    if options.dry_run:
        embedding.show_plan()
        return None
    return embedding.run()


def _read(glm: Glm, cell: str, options: EmbedOptions) -> Corpus:
    """The texts of the cell, of the variable, or the one set against the other."""
    names = glm.shell.user_ns
    if options.source is None:
        if not cell.strip():
            raise SettingsError(
                "there are no texts; write one a line below %%glm embed, or name a variable that "
                "has them: --in VAR"
            )
        corpus = read_cell(cell)
    else:
        corpus = find_variable(options.source, names)
        corpus = join(read_cell(cell), corpus) if cell.strip() else corpus
    return with_labels(corpus, read_labels(options.labels, names)) if options.labels else corpus


def _fitted(
    corpus: Corpus, models: tuple[str, ...], options: EmbedOptions
) -> tuple[Corpus, tuple[int, ...]]:
    """The texts within the limits of all models, and the positions of those that were cut."""
    known = [limits for model in models if (limits := find_limits(model)).tokens_per_text]
    if not known:
        return corpus, ()
    limits = min(known, key=lambda limits: limits.tokens_per_text or 0)
    return fit_texts(corpus, limits, truncate=options.truncate)


class _Embedding:
    """One cell: its texts, and a run for each model and width."""

    def __init__(
        self,
        glm: Glm,
        endpoint: Endpoint,
        corpus: Corpus,
        cut: tuple[int, ...],
        options: EmbedOptions,
    ) -> None:
        self._glm, self._endpoint, self._corpus = glm, endpoint, corpus
        self._cut, self._options = cut, options
        self._runs: list[EmbeddingRun] = []
        self._rest: list[EmbeddingRequest] = []
        self._seconds: dict[EmbeddingRun, float] = {}

    def prepare(self, models: tuple[str, ...]) -> None:
        """Take the vectors that are there, and divide the rest into requests."""
        widths = self._options.dimensions or (None,)
        asked = [(model, width) for model in models for width in widths]
        for model, width in asked:
            find_limits(model).check_dimensions(width)
        texts = tuple(dict.fromkeys(self._corpus.texts))
        session, _ = self._glm.open()
        store = None if self._options.no_store else session.store()
        for model, width in asked:
            run = EmbeddingRun(EmbeddingRequest(model, texts, width), self._endpoint, store)
            run.recall(self._known(run) if len(asked) == 1 else None)
            self._rest.append(run.plan())
            self._runs.append(run)

    def _known(self, run: EmbeddingRun) -> dict[str, Any]:
        """The vectors in the variable of `-o`, where it has those of a run that was stopped."""
        earlier = self._glm.shell.user_ns.get(self._options.out or "")
        if not isinstance(earlier, Embeddings) or not earlier.missing:
            return {}
        is_same = (earlier.model, earlier.endpoint) == (run.request.model, run.endpoint.host)
        if not is_same or run.width not in (0, earlier.dimensions):
            return {}
        return dict(zip(earlier.texts, earlier.vectors, strict=True))

    def show_plan(self) -> None:
        """Show what would be sent and what it may cost."""
        rows = [self._plan(*pair) for pair in zip(self._runs, self._rest, strict=True)]
        show_table(render_plan(rows), render_plan_plain(rows))

    def _plan(self, run: EmbeddingRun, rest: EmbeddingRequest) -> PlanRow:
        return PlanRow(
            run.request.model,
            run.request.dimensions or find_limits(run.request.model).default_dimensions,
            len(run.request.texts),
            run.recalled,
            len(run.requests),
            sum(map(estimate_tokens, rest.texts)),
            estimate_cost_of(rest, self._endpoint),
        )

    def run(self) -> Embeddings | Comparison:
        """Send what is to be sent; show and return what came."""
        batches = sum(len(run.requests) for run in self._runs)
        total = sum(len(rest.texts) for rest in self._rest)
        progress = Progress(self._glm.shell, total if batches >= _LEAST_BATCHES else 0)
        try:
            self._send_all(progress)
        except KeyboardInterrupt:
            with uninterrupted():
                raise Stopped(self._stopped(progress, "stopped")) from None
        except GlmError as error:
            if line := self._kept():
                error.args = (f"{error}; {line}",)
            progress.close()
            raise
        finally:
            self._warn()
        with uninterrupted("stopped; the vectors are there, run the cell again to see them"):
            value = self._value()
            progress.finish(value_bundle(value), value_metadata(value))
        return self._glm.hand_over(value, self._options.out)

    # -- on its way ------------------------------------------------------------------------

    def _send_all(self, progress: Progress) -> None:
        session, _ = self._glm.open()
        with ExitStack() as reserved:
            for rest in self._rest:
                reserved.enter_context(session.reserve(rest, self._endpoint))
            for run in self._runs:
                started = time.perf_counter()
                if run.requests:
                    send(self._glm, run, progress)
                self._seconds[run] = time.perf_counter() - started

    # -- at its end ------------------------------------------------------------------------

    def _value(self) -> Embeddings | Comparison:
        values = [self._build(run) for run in self._runs]
        return values[0] if len(values) == 1 else with_cuts(compare(values))

    def _build(self, run: EmbeddingRun) -> Embeddings:
        currency = billed_in(self._endpoint, run.request.model)
        seconds = self._seconds.get(run, 0.0)
        return build_embeddings(
            self._corpus, run, seconds=seconds, cut=self._cut, billed_in=currency
        )

    def _stopped(self, progress: Progress, what: str) -> str:
        line = f"{what}; {self._kept() or 'nothing came'}"
        progress.finish(line_bundle(line))
        return line

    def _kept(self) -> str:
        """What of a run that has not ended is there, in words; "" if nothing is."""
        total = sum(len(run.request.texts) for run in self._runs)
        have = total - sum(run.missing.size for run in self._runs)
        if not have:
            return ""
        name = self._hand_over_part()
        is_stored = not self._options.no_store and self._glm.open()[0].store() is not None
        words = f"{have:,} of {total:,} texts have their vectors{f' in {name}' if name else ''}"
        if name or is_stored:
            return f"{words}; run the cell again to go on"
        return f"{words}, which are lost without -o NAME and a store"

    def _hand_over_part(self) -> str | None:
        """Assign what came to the variable of `-o`; return its name."""
        name = self._options.out
        if name is None or len(self._runs) > 1:
            return None
        self._glm.shell.push({name: self._build(self._runs[0])})
        return name

    def _warn(self) -> None:
        """Say once why vectors were not kept on disk."""
        for failure in dict.fromkeys(run.store_failure for run in self._runs if run.store_failure):
            print(f"glm: {failure}; these vectors are not kept on disk")


def send(glm: Glm, run: EmbeddingRun, progress: Progress) -> None:
    """Send the requests of a run and take what comes.

    Raises:
        GlmError: the server refused, or sent no vectors; what came before was taken.
        KeyboardInterrupt: likewise.
    """
    session, thread = glm.open()
    client = session.client(run.endpoint)

    def take(taken: Taken) -> int:
        position, reply = taken
        session.note_embeddings(reply, run.requests[position], run.endpoint)
        run.take(position, reply)
        return len(reply.vectors)

    progress.take = take
    try:
        with Job(thread, lambda put: run.send(client, put)) as job:
            try:
                follow(job, progress)
            except KeyboardInterrupt:
                _drain(job, progress)
                raise
    finally:
        with uninterrupted(_KEEPING):
            run.keep()


def _drain(job: Job[Any], progress: Progress) -> None:
    """Stop the job, and take what has come by now: it is paid."""
    with uninterrupted():
        job.stop()
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        while not job.ended and (left := deadline - time.monotonic()) > 0:
            progress.feed(job.take(left))
