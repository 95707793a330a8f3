"""The tracker's way into ``rpa_data/``: the deployed file names and shapes, each replaced in one step."""

from pathlib import Path

from .. import jsonfiles, naming
from ..documents import State, from_files
from ..run import Run


class FileWriter:
    """Stores one run as JSON files.

    Args:
        directory: made at the first write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, run: Run) -> None:
        """Write the run's documents; raises OSError."""
        jsonfiles.write_all(self._directory, run.session_id, run.documents())

    def read(self, session_id: str) -> State | None:
        """Return what the files hold of a session, None for nothing; raises BadDocument."""
        progress = jsonfiles.read(self._directory / naming.file_name("progress", session_id))
        history = jsonfiles.read(self._directory / naming.file_name("history", session_id))
        return from_files(session_id, progress, history)

    def delete(self, session_id: str) -> None:
        """Delete every file of a session; raises OSError."""
        jsonfiles.remove_all(self._directory, session_id)
