"""TeX in the text of a model: what is a formula, and which commands no typesetter may see."""

from __future__ import annotations

import re

__all__ = ["DISPLAY_ENDS", "FORMULA", "UNSAFE_TEX"]

# Formulas in the delimiters of MathJax. A single dollar follows Pandoc's rule, which tells prices
# from formulas. Each body stops at what could open the next formula: linear without a closer.
FORMULA = re.compile(
    r"\$\$(?:[^$\\]|\\.)++\$\$"
    r"|\$(?![\s$])(?:[^$\\`]|\\.)++(?<!\s)\$(?![0-9])"
    r"|\\\((?:[^\\]|\\[^()])*+\\\)"
    r"|\\\[(?:[^\\]|\\[^\[\]])*+\\\]",
    re.DOTALL,
)
DISPLAY_ENDS = {"$$": "$$", "\\[": "\\]"}

# Commands of MathJax 2 to 4, KaTeX and TeX that reach beyond the formula they stand in: they make
# links, load, set styles, classes and ids, react to the mouse, or define macros, which persist
# from cell to cell of a page.
_COMMANDS = (
    r"action|afterassignment|bbox|catcode|char|class|csname|css|cssId|data|def|definecolor"
    r"|DeclareMathOperator|DeclarePairedDelimiters?(?:X|XPP)?|documentclass|edef|expandafter"
    r"|futurelet|gdef|global|href|html[A-Za-z]*|immediate|include(?:graphics|only)?|input|let"
    r"|loadextension|long|mathchardef|mathtip|mathtoolsset|mmlToken|newcommand|newenvironment"
    r"|newtagform|Newextarrow|noexpand|openin|openout|providecommand|read|renewcommand|renewenvironment"
    r"|renewtagform|require|special|style|texttip|toggle|unicode|url|usepackage|usetagform"
    r"|verbatiminput|write|xdef"
)
UNSAFE_TEX = re.compile(rf"\\(?:{_COMMANDS})(?![A-Za-z])")
