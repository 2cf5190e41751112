"""The demo's figure: Gram matrices, rows sorted by class, and their spectra. Needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..demo import Panel
from ..threads import run_parallel

_STYLE: dict[Any, Any] = {"font.size": 9, "axes.titlesize": 9, "axes.spines.top": False, "axes.spines.right": False}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8c564b")
_WIDE = 3  # rows of matrices in a task stand in columns of this many


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Draw one band for each task and save it as PNG; the file is complete or absent at every moment."""
    with mpl.rc_context(_STYLE):
        heights = [-(-len(panel.matrices) // _WIDE) for panel in panels]
        figure = Figure(figsize=(13.5, 2.35 * sum(heights) + 0.75 * len(panels)), layout="constrained")
        bands = figure.subfigures(len(panels), 1, squeeze=False, height_ratios=[h + 0.3 for h in heights], hspace=0.03)
        for band, panel in zip(bands.ravel(), panels, strict=True):
            _draw_band(band, panel)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            figure.savefig(part, format="png", dpi=130)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _draw_band(band: Any, panel: Panel) -> None:
    band.suptitle(panel.title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    left, right = band.subfigures(1, 2, width_ratios=[1.75, 1])
    rows = -(-len(panel.matrices) // _WIDE)
    axes = left.subplots(rows, _WIDE, squeeze=False).ravel()
    order = np.argsort(panel.labels, kind="stable")
    for index, (axis, (label, matrix)) in enumerate(zip(axes, panel.matrices.items(), strict=False)):
        _draw_matrix(axis, matrix[np.ix_(order, order)], label, panel, named=index % _WIDE == 0)
    for axis in axes[len(panel.matrices) :]:
        axis.set_visible(False)
    _draw_spectra(right.subplots(), panel)


def _draw_matrix(axis: Any, matrix: Any, label: str, panel: Panel, named: bool) -> None:
    """One Gram matrix; the colours span its 1st to 99th percentile, so that a bright diagonal does not darken it."""
    matrix = np.real(matrix)
    low, high = np.percentile(matrix, [1, 99])
    image = axis.imshow(
        matrix, cmap="viridis", vmin=low, vmax=high if high > low else low + 1, interpolation="antialiased"
    )
    bar = axis.figure.colorbar(image, ax=axis, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.locator = mpl.ticker.MaxNLocator(4)
    bar.update_ticks()
    axis.set_title(label)
    axis.spines[:].set_visible(False)
    classes, counts = np.unique(panel.labels, return_counts=True)
    edges = np.cumsum(counts)
    axis.set_xticks([])
    axis.set_yticks(edges - counts / 2 if named else [])
    if named:
        names = panel.class_names or tuple(map(str, classes))
        axis.set_yticklabels(names, rotation=90 if max(map(len, names)) > 3 else 0, va="center", fontsize=7)
        axis.tick_params(axis="y", length=0)


def _draw_spectra(axis: Any, panel: Panel) -> None:
    for index, (label, values) in enumerate(_spectra(panel).items()):
        values = values / np.abs(values).sum()
        shown = values > np.finfo(values.dtype).eps  # what is below is rounding
        style = {"ls": "-" if index < len(_COLOURS) else "--", "color": _COLOURS[index % len(_COLOURS)]}
        axis.loglog(np.flatnonzero(shown) + 1, values[shown], lw=1.6, label=label, **style)
    axis.set_xlabel("rank of the eigenvalue")
    axis.set_ylabel("share of the trace")
    axis.set_title("spectra", loc="left")
    axis.grid(True, which="major", color="#dddddd", lw=0.6)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, fontsize=8, loc="lower left")


def _spectra(panel: Panel) -> dict[str, Any]:
    """Eigenvalues of each matrix, largest first; one BLAS thread for each matrix."""
    found: dict[str, Any] = dict.fromkeys(panel.matrices)

    def fill(label: str) -> None:
        found[label] = np.linalg.eigvalsh(panel.matrices[label])[::-1]

    run_parallel(fill, panel.matrices)
    return found
