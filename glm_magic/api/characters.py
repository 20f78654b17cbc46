"""Text that may hold halves of characters, as Python's may, to text that can be sent and kept."""

__all__ = ["valid_unicode"]


def valid_unicode(text: str) -> str:
    """Return `text` with surrogate pairs joined and lone surrogates as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
