"""A `%%glm embed` cell: its lines embedded and compared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from glm_magic.api.loop import Job
from glm_magic.errors import SettingsError
from glm_magic.jupyter.runner import wait_for
from glm_magic.jupyter.views.show import show_value
from glm_magic.study.embeddings import build_embeddings

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.options import EmbedOptions
    from glm_magic.study.embeddings import Embeddings


def run_embed(glm: Glm, cell: str, options: EmbedOptions) -> Embeddings:
    """Embed the lines of a cell and show how near they are to each other.

    Raises:
        SettingsError: there is no text, or the budget would be passed; nothing was sent.
    """
    texts = tuple(text for line in cell.splitlines() if (text := line.strip()))
    if not texts:
        raise SettingsError("the cell is empty; write one text a line below %%glm embed")
    session, thread = glm.open()
    endpoint = glm.endpoint()
    request = session.embedding_request(texts, options, endpoint)
    with session.reserve(request, endpoint):
        client, started = session.client(endpoint), time.perf_counter()
        job = Job(thread, lambda _: client.embed(request))
        reply = wait_for(job, "no vectors were kept")
        session.note_embeddings(reply, request, endpoint)
    embeddings = build_embeddings(
        texts, reply, endpoint=endpoint.host, seconds=time.perf_counter() - started
    )
    show_value(embeddings)
    return glm.hand_over(embeddings, options.out)
