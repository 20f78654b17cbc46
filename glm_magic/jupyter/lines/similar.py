"""`%glm similar "text" --in NAME`: what of some embeddings is nearest to a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glm_magic.api.batches import find_limits, too_long
from glm_magic.api.embedding import unit_vectors
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.errors import GlmError, SettingsError, Stopped
from glm_magic.jupyter.gathering import gather
from glm_magic.jupyter.views.progress import Progress
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.study.neighbours import Near, render_nearest, render_nearest_plain
from glm_magic.render.words import counted
from glm_magic.session.embedding import EmbeddingRun
from glm_magic.session.names import did_you_mean
from glm_magic.study.embeddings import Embeddings

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_similar(glm: Glm, text: list[str], source: str | None, k: int, out: str | None) -> None:
    """Show the texts of a variable that are nearest to one, which is embedded if need be.

    Raises:
        SettingsError: there is no text, or no variable, or it holds no embeddings, or those of
            another endpoint.
    """
    if not " ".join(text).strip() or source is None:
        raise SettingsError(
            'a text and a variable are expected, as in `%glm similar "a small feline" --in e`'
        )
    query, among = " ".join(text).strip(), _embeddings(source, glm.shell.user_ns)
    is_known = query in among.texts
    found = among.nearest(query if is_known else _embed(glm, query, among, source), k)
    near = [
        Near(int(position), among.names[position], among.texts[position], float(value))
        for position, value in zip(found.index, found.similarity, strict=True)
    ]
    footer = f"{among.model} · {among.endpoint} · {counted(len(among), 'text')} in {source}"
    show_table(render_nearest(query, near, footer), render_nearest_plain(query, near, footer))
    if out:
        glm.shell.push({out: found})


def _embeddings(source: str, names: dict[str, Any]) -> Embeddings:
    value = names.get(source)
    if isinstance(value, Embeddings):
        return value
    if source not in names:
        raise SettingsError(f"there is no variable '{source[:80]}'{did_you_mean(source, names)}")
    raise SettingsError(
        f"{source} holds no embeddings; `%glm embed --in {source} -o e` makes them, "
        "and then --in e looks among them"
    )


def _embed(glm: Glm, query: str, among: Embeddings, source: str) -> Any:
    """The vector of a text, of the model and the width of those it is looked for among."""
    session, _ = glm.open()
    if too_long((query,), limits := find_limits(among.model)):
        raise SettingsError(
            f"the text is longer than {limits.tokens_per_text:,} tokens; shorten it"
        )
    endpoint = glm.endpoint()
    if endpoint.host not in among.endpoint.split(", "):
        raise SettingsError(
            f"the vectors in {source} are from {among.endpoint} and requests go to "
            f"{endpoint.host} now; `%glm config endpoint=...` goes back there"
        )
    request = EmbeddingRequest(among.model, (query,), among.asked)
    run = EmbeddingRun(request, endpoint, session.store())
    run.recall()
    with session.reserve(run.plan(), endpoint):
        if run.requests:
            try:
                gather(glm, run, Progress(glm.shell, 0))
            except KeyboardInterrupt:
                raise Stopped("stopped; nothing came") from None
    return _fitted(run.vectors, among, endpoint.host)


def _fitted(vectors: Any, among: Embeddings, host: str) -> Any:
    if vectors.shape[1] < among.dimensions:
        raise GlmError(
            f"{host} sent a vector of {vectors.shape[1]} numbers, and those to compare it with "
            f"have {among.dimensions}; embed them again"
        )
    return unit_vectors(np.ascontiguousarray(vectors[:, : among.dimensions]))[0]
