"""Pictures inside an output: `<img>` with all its data, which every viewer of notebooks keeps.

JupyterLab shows an inline `<svg>` of a notebook that is not trusted as its bare text; an image
it keeps. Nothing runs in an image and it loads nothing. Its colours follow the theme of the page,
where the page tells whether it is light or dark.
"""

from __future__ import annotations

import re
from base64 import b64encode

from glm_magic.render.clean import clean_line, escape

__all__ = ["png_image", "svg_document", "svg_image", "svg_text"]

# Where a theme does not tell, dark text with a light rim can be read on any ground.
_STYLE = (
    "text{fill:#333;stroke:#fff;stroke-width:3px;stroke-opacity:.8;stroke-linejoin:round;"
    "paint-order:stroke}"
    ".grid{stroke:#999;stroke-opacity:.25}.zero{stroke:#999;stroke-opacity:.8}"
    ".cell{stroke:none}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd;stroke:#111}}"
)
_ALT_CHARACTERS = 1_000
# Characters that text may have and XML may not.
_NOT_XML = re.compile("[\ufffe\uffff]")


def svg_document(body: str, width: int, height: int) -> str:
    """Return the SVG of a picture.

    Args:
        body: its elements; `class="grid"` and `"zero"` are lines that stay in the background,
            `"cell"` is text on a shaded ground.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f"<style>{_STYLE}</style>{body}</svg>"
    )


def svg_text(text: str) -> str:
    """Return text as it may stand in an SVG."""
    return _NOT_XML.sub("\ufffd", escape(text))


def svg_image(svg: str, alt: str, width: int) -> str:
    """Return an SVG as `<img>`.

    Args:
        alt: what is to be seen in it, plain text.
        width: in pixels of CSS; a narrow page shows it smaller.
    """
    return _image("svg+xml", svg.encode(), alt, width)


def png_image(png: bytes, alt: str, width: int) -> str:
    """Return a PNG as `<img>`."""
    return _image("png", png, alt, width)


def _image(kind: str, data: bytes, alt: str, width: int) -> str:
    words = escape(clean_line(alt, _ALT_CHARACTERS))
    source = f"data:image/{kind};base64,{b64encode(data).decode()}"
    return f'<img alt="{words}" src="{source}" width="{width}" style="max-width: 100%">'
