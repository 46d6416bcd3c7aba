"""What a browser shows of the words of pictures and pages: where they lie, measured on the screen."""

from io import BytesIO

import numpy as np
from PIL import Image

from chromium import Page

LABELS = """
const shown = (svg) => [...svg.querySelectorAll('text')].filter((t) => t.textContent.trim() && t.getClientRects().length);
const corners = (text) => {
    const box = text.getBBox(), matrix = text.getScreenCTM();
    const inset = { x: Math.min(1, box.width / 4), y: 0.2 * box.height };
    return [[0, 0], [1, 0], [1, 1], [0, 1]].map(([i, j]) => {
        const point = new DOMPoint(
            i ? box.x + box.width - inset.x : box.x + inset.x, j ? box.y + box.height - inset.y : box.y + inset.y);
        const at = point.matrixTransform(matrix);
        return [at.x, at.y];
    });
};
const apart = (a, b) => [a, b].some((quad) => [0, 1].some((side) => {
    const [from, to] = [quad[side], quad[side + 1]], normal = [from[1] - to[1], to[0] - from[0]];
    const [one, other] = [a, b].map((q) => q.map((p) => p[0] * normal[0] + p[1] * normal[1]));
    return Math.max(...one) <= Math.min(...other) || Math.max(...other) <= Math.min(...one);
}));
const pictures = [...document.querySelectorAll('svg')].filter((svg) => svg.getClientRects().length);
"""
"""Labels of a picture as quadrilaterals on the screen: a line of text less a fifth of its height above and below, where
a font keeps room for accents and for nothing."""

TOLERANCE = 8
"""Of 255 levels of a colour: what smoothing may change of one pixel."""


def labels(page: Page) -> int:
    """How many labels of pictures are shown."""
    return int(page.run(f"(() => {{{LABELS} return pictures.flatMap(shown).length; }})()"))


def overlapping(page: Page) -> list[list[str]]:
    """Pairs of labels of one picture that cover each other, whichever way they are turned."""
    return list(
        page.run(f"""(() => {{{LABELS}
    return pictures.flatMap((svg) => {{
        const all = shown(svg).map((text) => [text.textContent.trim(), corners(text)]);
        return all.flatMap(([a, one], i) => all.slice(i + 1).filter(([, other]) => !apart(one, other)).map(([b]) => [a, b]));
    }});
}})()""")
    )


def beyond_the_picture(page: Page) -> list[str]:
    """Labels that reach out of what their picture shows, its ``viewBox``."""
    return list(
        page.run(f"""(() => {{{LABELS}
    return pictures.flatMap((svg) => {{
        const frame = svg.getBoundingClientRect();
        return shown(svg).filter((text) => corners(text).some(([x, y]) =>
            x < frame.left - 1 || x > frame.right + 1 || y < frame.top - 1 || y > frame.bottom + 1
        )).map((text) => text.textContent.trim());
    }});
}})()""")
    )


def beyond_their_container(page: Page) -> list[str]:
    """Words of a page that reach out of the cell, box or paragraph they stand in."""
    return list(
        page.run("""(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const box = node.parentElement.closest('td, th, .answer, .finding, .certificate, p, dd, summary, h1, h2, h3, button, label');
        if (!node.data.trim() || !box || !box.getClientRects().length) continue;
        const words = document.createRange(), edge = box.getBoundingClientRect();
        words.selectNodeContents(node);
        if ([...words.getClientRects()].some((r) => r.left < edge.left - 1 || r.right > edge.right + 1)) {
            found.push(node.data.trim().slice(0, 60));
        }
    }
    return found;
})()""")
    )


def clipped(page: Page, around: int = 36) -> list[int]:
    """Pictures, by place, of which something is drawn beyond their edge: without the edge it is seen around them.

    The same browser takes both screenshots a moment apart, so that neither fonts nor smoothing of this machine count.
    """
    page.run("""document.head.insertAdjacentHTML('beforeend',
        '<style>figure { overflow: visible !important; padding: 40px !important; }</style>')""")
    count = page.run(
        f"(() => {{{LABELS} window.shownPictures = pictures; return pictures.length; }})()"
    )
    found = []
    for place in range(count):
        element = f"window.shownPictures[{place}]"
        shots = []
        for overflow in ("hidden", "visible"):
            page.run(f"{element}.style.overflow = '{overflow}'")
            shot = Image.open(BytesIO(page.shot(element, around=around)))
            shots.append(np.asarray(shot.convert("RGB"), dtype=int))
        changed = np.abs(shots[0] - shots[1]).max(axis=2)
        changed[around - 1 : 1 - around, around - 1 : 1 - around] = 0
        if changed.max() > TOLERANCE:
            found.append(place)
    return found
