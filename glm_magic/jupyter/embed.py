"""A `%%glm embed` cell: its texts embedded and compared, or the models that embed them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from glm_magic.api.batches import find_limits
from glm_magic.api.catalog import billed_in
from glm_magic.api.cost import estimate_cost_of
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import GlmError, SettingsError, Stopped
from glm_magic.jupyter.gathering import gather
from glm_magic.jupyter.runner import uninterrupted
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
from glm_magic.session.embedding import EmbeddingRun
from glm_magic.study.comparison import Comparison, check_texts, compare, with_cuts
from glm_magic.study.embeddings import Embeddings, build_embeddings

if TYPE_CHECKING:
    from glm_magic.api.endpoints import Endpoint
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.options import EmbedOptions

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
        self._begun: dict[EmbeddingRun, Embeddings] = {}  # what a stopped cell has left for it

    def prepare(self, models: tuple[str, ...]) -> None:
        """Take the vectors that are there, and divide the rest into requests.

        Raises:
            SettingsError: a model has no such width, or there is nothing to compare.
        """
        asked = [(model, w) for model in models for w in self._options.dimensions or (None,)]
        for model, width in asked:
            find_limits(model).check_dimensions(width)
        if len(asked) > 1:
            check_texts(self._corpus.texts)
        texts = tuple(dict.fromkeys(self._corpus.texts))
        session, _ = self._glm.open()
        store = None if self._options.no_store else session.store()
        for model, width in asked:
            run = EmbeddingRun(EmbeddingRequest(model, texts, width), self._endpoint, store)
            if earlier := self._earlier(run.request):
                self._begun[run] = earlier
                run.recall(dict(zip(earlier.texts, earlier.vectors, strict=True)))
            else:
                run.recall()
            self._rest.append(run.plan())
            self._runs.append(run)

    def _earlier(self, request: EmbeddingRequest) -> Embeddings | None:
        """What the variable of `-o` has of a cell that was stopped, if it is of the same kind."""
        value = self._glm.shell.user_ns.get(self._options.out or "")
        parts = value if isinstance(value, Parts) else [value]
        if not isinstance(value, Parts) and not getattr(value, "missing", 0):
            return None
        wanted = request.model, self._endpoint.host, request.dimensions
        for part in parts:
            if isinstance(part, Embeddings) and (part.model, part.endpoint, part.asked) == wanted:
                return part
        return None

    def show_plan(self) -> None:
        """Show what would be sent and what it may cost, and whether the budget lets it pass."""
        rows = [self._plan(*pair) for pair in zip(self._runs, self._rest, strict=True)]
        refusal = ""
        try:
            with ExitStack() as reserved:
                self._reserve(reserved)
        except SettingsError as error:
            refusal = f"it would be refused: {error}"
        show_table(render_plan(rows, refusal), render_plan_plain(rows, refusal))

    def _reserve(self, reserved: ExitStack) -> None:
        session, _ = self._glm.open()
        for rest in self._rest:
            reserved.enter_context(session.reserve(rest, self._endpoint))

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
        progress = None
        try:
            with ExitStack() as reserved:
                self._reserve(reserved)
                progress = self._progress()
                self._send_all(progress)
        except KeyboardInterrupt:
            with uninterrupted():
                line = f"stopped; {self._kept() or 'nothing came'}"
                _leave(progress, line)
                raise Stopped(line) from None
        except GlmError as error:
            if line := self._kept():
                error.args = (f"{error}; {line}",)
            _leave(progress, line or "nothing came")
            raise
        finally:
            self._warn()
        return self._show(progress)

    def _progress(self) -> Progress:
        batches = sum(len(run.requests) for run in self._runs)
        total = sum(len(rest.texts) for rest in self._rest)
        return Progress(self._glm.shell, total if batches >= _LEAST_BATCHES else 0)

    def _show(self, progress: Progress) -> Embeddings | Comparison:
        """Assign what came, then draw it: an interrupt of the drawing loses nothing."""
        name = self._options.out
        there = f"the vectors are in {name}" if name else "run the cell again to see them"
        with uninterrupted(f"stopped; {there}"):
            value = self._glm.hand_over(self._value(), name)
            progress.finish(value_bundle(value), value_metadata(value))
        return value

    # -- on its way ------------------------------------------------------------------------

    def _send_all(self, progress: Progress) -> None:
        for run in self._runs:
            started = time.perf_counter()
            if run.requests:
                gather(self._glm, run, progress)
            self._seconds[run] = time.perf_counter() - started

    # -- at its end ------------------------------------------------------------------------

    def _value(self) -> Embeddings | Comparison:
        values = [self._build(run) for run in self._runs]
        return values[0] if len(values) == 1 else with_cuts(compare(values))

    def _build(self, run: EmbeddingRun) -> Embeddings:
        currency = billed_in(self._endpoint, run.request.model)
        seconds = self._seconds.get(run, 0.0)
        value = build_embeddings(
            self._corpus, run, seconds=seconds, cut=self._cut, billed_in=currency
        )
        begun = self._begun.get(run)
        return value.going_on_from(begun) if begun else value

    def _kept(self) -> str:
        """What came of a cell that has not ended, in words; "" if nothing did.

        It goes into the variable of `-o`, which stays as it is where nothing came.
        """
        if not any(run.answered for run in self._runs):
            return ""
        total = sum(len(run.request.texts) for run in self._runs)
        have = total - sum(run.missing.size for run in self._runs)
        if name := self._options.out:
            parts = Parts(self._build(run) for run in self._runs)
            self._glm.shell.push({name: parts[0] if len(parts) == 1 else parts})
        words = f"{have:,} of {total:,} texts have their vectors{f' in {name}' if name else ''}"
        is_stored = all(run.is_stored for run in self._runs)
        if name or is_stored:
            return f"{words}; run the cell again to go on"
        return f"{words}, which are lost without -o NAME and a store"

    def _warn(self) -> None:
        """Say once why vectors were not kept on disk."""
        for failure in dict.fromkeys(run.store_failure for run in self._runs if run.store_failure):
            print(f"glm: {failure}; these vectors are not kept on disk")


class Parts(list[Embeddings]):
    """What came of a cell with several models that was stopped, for it to go on."""


def _leave(progress: Progress | None, line: str) -> None:
    """Put a line in the place of the bar, where there is one."""
    if progress is not None and progress.is_shown:
        progress.finish(line_bundle(line))
