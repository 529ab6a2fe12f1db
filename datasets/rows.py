"""Row-wise functions with the same bits in any batch; they live in `hedgezoo.layers.rows`."""

from hedgezoo.layers.rows import by_row, idle_rows

__all__ = ["by_row", "idle_rows"]
