"""A reply that attacks whoever shows it, and what of it would act in a page.

Every attack says `pwned` or leads to the address of the test's own server, so that nothing but
text may hold either word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import html5lib
from glm_server import GlmServer, Script, build_source

_TEXT = r"""# Hello

<script>window.pwned = 1</script> <img src=x onerror="window.pwned = 2">
![pixel](LEAK/a.png) ![ref][r] <iframe srcdoc="<script>parent.pwned = 3</script>"></iframe>
[click](javascript:window.pwned=4) <https://example.org/ok> [here](LEAK/click "pwned")
<style>body { display: none } @import url(LEAK/b.css);</style> <link rel=stylesheet href=LEAK/c.css>
<svg onload="window.pwned=5"><use href="LEAK/d.svg#x"/></svg> <form id=pwned action=LEAK/e><input>
<b id="pwned" class="pwned" style="background: url(LEAK/f.png)" onclick="window.pwned=6">b</b>
<meta http-equiv=refresh content="0;url=LEAK/g"> <base href=LEAK/> <object data=LEAK/h></object>
<a href="data:text/html,<script>opener.pwned=7</script>">data</a> <video src=LEAK/i autoplay>
&lt;script&gt;window.pwned = 8&lt;/script&gt; {{ "pwned" | upper }} --></div></details></pre>
<script type="text/x-mathjax-config">window.pwned = 9</script>

<div class="jp-Mermaid"><pre class="mermaid">graph TD; A[<img src=LEAK/j.png>]</pre></div>

[r]: LEAK/k.png

```mermaid
graph TD; A[<img src=LEAK/l.png onerror="window.pwned=10">]
```

```"onclick="window.pwned=11" class="pwned
code
```

Honest TeX is $E = mc^2$. $\href{javascript:window.pwned=12}{a}$
$$\style{background: url(LEAK/m)}{b}$$
\(\class{pwned}{\cssId{pwned}{c}}\) \[\require{LEAK/n.js}\includegraphics{LEAK/o.png}\]
$\unicode[url(LEAK/p)]{x}$ $\def\x{\href{javascript:window.pwned=13}{d}}\x$
$\text{<img src=LEAK/q>}$

The end.
"""


def attack(server: GlmServer) -> str:
    """Let every reply be hostile in all its parts; return the address that it tries to reach."""
    leak = server.url.replace("/api/paas/v4", "/leak")
    text = _TEXT.replace("LEAK", leak)
    source = build_source(
        1,
        rf'<img src="{leak}/r.png"> $\href{{javascript:window.pwned=14}}{{title}}$',
        "javascript:window.pwned=15",
        f"![x]({leak}/s.png)</td></table><script>window.pwned=16</script>",
        media="\u202eevil \\(\\href{javascript:window.pwned=17}{site}\\)",
        icon=f"{leak}/t.png",
    )
    server.script = Script(
        text=tuple(text[i : i + 7] for i in range(0, len(text), 7)),
        reasoning=(
            f'<img src="{leak}/u.png" onerror="window.pwned=18">',
            r"$\href{javascript:window.pwned=19}{thought}$",
        ),
        sources=(source,),
        pace_s=0.001,
    )
    return leak


# What of it would act, in a page as a browser has it after typesetting.
LURES = (
    # MathJax 2 keeps the TeX in elements of that type.
    "script:not([type^='math/tex']), img, iframe, object, video, form, input, svg use, link, "
    "style, [href^='javascript:' i], [href^='data:' i], [href*='/leak'], [style*='/leak'], "
    "[id*=pwned], [class*=pwned], [onclick], [onload], [onerror]"
)
# Elements that show text and do nothing else, and attributes that only lay it out or name it.
_TAGS = """
    a b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i kbd li ol p
    pre s small span strong sub summary sup table tbody td th thead tr ul
"""
_INERT_TAGS = frozenset(_TAGS.split())
_ATTRIBUTES = "align class colspan dir lang open rel role scope start style tabindex title"
_INERT_ATTRIBUTES = frozenset(_ATTRIBUTES.split())


def find_acts(element: Any) -> Iterator[str]:
    """Yield each tag or attribute inside of `element` that may do more than show text.

    Args:
        element: an element of html5lib's tree, without namespaces.
    """
    for inner in element.iter():
        if inner is element:
            continue
        if inner.tag not in _INERT_TAGS:
            yield f"<{inner.tag}>"
        yield from (
            f'{name}="{value}"'
            for name, value in inner.attrib.items()
            if not _is_inert(inner.tag, name, value)
        )


def _is_inert(tag: str, name: str, value: str) -> bool:
    if any(word in value for word in ("pwned", "/leak", "url(", "javascript:", "data:")):
        return False
    if (tag, name) == ("a", "href"):
        return value.startswith(("https://example.org/", "https://example.com/"))
    if (tag, name, value) == ("a", "target", "_blank"):
        return True
    return name in _INERT_ATTRIBUTES or name.startswith("aria-")


def parse_page(html: str) -> Any:
    """The tree that a browser makes of a page."""
    return html5lib.parse(html, namespaceHTMLElements=False)
