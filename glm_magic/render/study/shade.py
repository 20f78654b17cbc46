"""How strongly a similarity is shaded: half-clear, so that it suits every theme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glm_magic.study.embeddings import FloatArray

__all__ = ["COLOUR", "MOST", "Shade"]

COLOUR = "#408cff"
# Of the colour under text: with more of it, text would be hard to read (6:1 on near-black).
MOST = 0.65


@dataclass(frozen=True, slots=True)
class Shade:
    """From clear at the lowest value to full at the highest.

    Models differ in how alike they find texts that have nothing in common: 0 for some, 0.7 for
    others. From the lowest value on, each shows what it tells apart.
    """

    low: float
    high: float = 1.0

    @classmethod
    def of(cls, matrix: FloatArray) -> Shade:
        """Return the shade from the lowest of these values to 1."""
        return cls(float(matrix.min(initial=1.0)))

    def strengths(self, values: FloatArray) -> FloatArray:
        """Return how strong each value is: 0 is clear, 1 is full."""
        span = self.high - self.low
        if span < 1e-6:  # all are the same
            return np.ones_like(values)
        strengths: FloatArray = np.clip((values - self.low) / span, 0.0, 1.0)
        return strengths

    def styles(self, values: FloatArray) -> list[str]:
        """Return the ground of each value, for text to stand on, as CSS."""
        alphas = np.rint(self.strengths(values) * MOST * 255).astype(int)
        return [f"background:{COLOUR}{alpha:02x}" for alpha in alphas.tolist()]

    def cell(self, value: float) -> str:
        """Return the cell of a table with this value."""
        (style,) = self.styles(np.array([value], dtype=np.float32))
        return f'<td style="{style}">{value:z.2f}</td>'
