"""Fonts of this machine for labels in any script, in figures of matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import cache

from glm_magic.render.columns import width

__all__ = ["choose_families", "drawable"]

# Fonts with Chinese that systems bring: Linux, macOS, Windows, Android; simplified ones first.
_CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "STHeiti",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK TC",
    "Noto Sans CJK JP",
    "Source Han Sans",
    "PingFang HK",
    "Microsoft JhengHei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
    "Noto Serif CJK SC",
    "Noto Serif CJK JP",
    "SimSun",
)
_MISSING = "□"


def choose_families() -> list[str]:
    """Return the user's own families, and behind them one with Chinese if any is installed."""
    from matplotlib import font_manager, rcParams

    installed = {font.name for font in font_manager.fontManager.ttflist}
    chinese = next((name for name in _CHINESE if name in installed), None)
    own = list(rcParams["font.family"])
    return [*own, chinese] if chinese and chinese not in own else own


def drawable(labels: Iterable[str], families: Sequence[str]) -> list[str]:
    """Return labels with "□" in place of what no font of these families has.

    matplotlib would warn of each such character whenever the figure is drawn; this warns once,
    and only of what a font with Chinese would mend.
    """
    labels = list(labels)
    known = _characters(tuple(families))
    unknown = {letter for letter in "".join(labels) if ord(letter) not in known}
    if any(width(letter) == 2 and letter.isalpha() for letter in unknown):
        warnings.warn(
            f"no font of matplotlib's has the Chinese of these labels, {_MISSING} stands for it; "
            "install one (Noto Sans CJK) and delete the folder matplotlib.get_cachedir()",
            stacklevel=7,
        )
    table = dict.fromkeys(map(ord, unknown), _MISSING)
    return [label.translate(table) for label in labels]


@cache
def _characters(families: tuple[str, ...]) -> frozenset[int]:
    """The code points that the fonts of these families have between them."""
    from matplotlib import font_manager

    fonts = [font_manager.FontProperties(family=[family]) for family in families]
    paths = [font_manager.findfont(font) for font in fonts]
    return frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())
