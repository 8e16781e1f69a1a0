"""Shows a page inside a Jupyter notebook, and does nothing anywhere else."""

from __future__ import annotations

import html
import sys
from pathlib import Path

_INLINE_BYTES = 32 * 1024**2  # above this a notebook file becomes hard to open; the page is linked instead


def show(path: Path, *, lazy: bool = False) -> bool:
    """Display a page below the running cell. Returns whether there was a notebook to display it in.

    lazy: the page needs its images folder, so it is framed by its address, which the notebook's server has to reach.
    """
    if not _in_notebook():
        return False
    from IPython.display import HTML, IFrame, display

    if lazy:
        near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        display(IFrame(near.as_posix(), width="100%", height=720))
    elif path.stat().st_size > _INLINE_BYTES:
        display(HTML(f"<p>{html.escape(path.name)} is large; open {html.escape(str(path))} in a browser.</p>"))
    else:
        page = html.escape(path.read_text(encoding="utf-8"), quote=True)
        display(HTML(f'<div><iframe srcdoc="{page}" style="width:100%;height:720px;border:0"></iframe></div>'))
    return True


def _in_notebook() -> bool:
    # a notebook has loaded IPython before us; a plain interpreter has not, and must not wait for its import
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
