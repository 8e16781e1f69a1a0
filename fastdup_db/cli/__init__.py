"""`fastdup-db …`: each command is one call of the controller. Tables go to stdout, all else to stderr."""

from __future__ import annotations

import gc
import io
import os
import sys

import typer

import fastdup_db
from fastdup_db.cli import acting, answers, running
from fastdup_db.cli.options import EXIT_BAD_ARGUMENT, EXIT_ERROR
from fastdup_db.errors import FastdupError

app = typer.Typer(
    help="Find duplicates, outliers, clusters, broken and blurry files in a collection of images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: exit status 0, 1 (the run or the query failed, a file cannot be written), 2 (a wrong argument)."""
    _take_any_name()
    try:
        app()
    except fastdup_db.BadArgument as exc:
        _fail(exc, EXIT_BAD_ARGUMENT)
    except (FastdupError, OSError) as exc:
        _fail(exc, EXIT_ERROR)
    finally:
        gc.freeze()  # or the ending interpreter looks through all that was imported, a tenth of a second


def version() -> None:
    """The version of this package."""
    typer.echo(fastdup_db.__version__)


def _take_any_name() -> None:
    """Let stdout take every name: on Windows it has a code page of some 200 letters, and doubles newlines in a csv.

    Files and pipes get UTF-8 as it is; a terminal, which is as it is, `\\u…` for what it cannot show.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):  # None, where there is no console
        return
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="backslashreplace")
    else:
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _fail(exc: Exception, code: int) -> None:
    typer.echo(f"fastdup-db: {exc}", err=True)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # a full disk: Python would try again at its end, and say so at length
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)


_COMMANDS = (
    running.run,
    running.plan,
    running.demo,
    answers.summary,
    answers.similarity,
    answers.outliers,
    answers.components,
    answers.stats,
    answers.invalid,
    answers.search,
    answers.sql,
    answers.gallery,
    answers.report,
    acting.publish,
    acting.dedup,
    acting.clean,
    acting.undo,
    acting.export,
    acting.import_,
    version,
)
"""In the order of --help."""

for _command in _COMMANDS:
    app.command(_command.__name__.rstrip("_"))(_command)
