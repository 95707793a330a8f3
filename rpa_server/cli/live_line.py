"""Shows a run on one line of the terminal, live: label, bar, percentage, and a text that never wraps.

If standard output is not a terminal, a line with the label is printed whenever the label changes, and finally the last
text.
"""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.progress import Progress

_BAR_COLUMNS = 20


class LiveLine:
    """Shows a run for the length of a ``with`` block.

    Args:
        label: names what is shown: a session id or an ``estado``.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._progress = _progress() if sys.stdout.isatty() else None
        if self._progress is not None:
            self._task = self._progress.add_task(label, total=100.0, text="")

    def __enter__(self) -> Self:
        if self._progress is None:
            click.echo(self._label)
        else:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, text: str, percent: float | None = None, label: str | None = None) -> None:
        """Show a new text and, if given, a new percentage and label.

        Args:
            text: any text; control characters that a terminal would obey become blanks.
            percent: 0 to 100, None to leave the bar as it is.
            label: None to leave the label as it is.
        """
        changed = label is not None and label != self._label
        self._label = label or self._label
        if self._progress is not None:
            self._progress.update(self._task, completed=percent, description=self._label, text=printable(text))
        elif changed:
            click.echo(self._label)

    def end(self, text: str) -> None:
        """Show the final text, a price for example; without a terminal, on a line of its own."""
        if self._progress is not None:
            self._progress.update(self._task, text=printable(text))
        elif text:
            click.echo(printable(text))


def printable(text: str) -> str:
    """Replace every character that could move the cursor or start a terminal command by a blank."""
    return "".join(character if character.isprintable() else " " for character in text)


def _progress() -> "Progress":
    # Imported here because ``rpa-server serve`` imports this module, too, and rich takes a tenth of a second and 3 MB.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    def cut(ratio: int | None = None) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)

    return Progress(
        TextColumn("{task.description}", markup=False, table_column=cut()),
        BarColumn(_BAR_COLUMNS),
        TextColumn("{task.percentage:>3.0f} %", table_column=cut()),
        TextColumn("{task.fields[text]}", markup=False, table_column=cut(ratio=1)),
        console=Console(force_terminal=True, highlight=False),
        expand=True,
    )
