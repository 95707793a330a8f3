"""The model of a run: its updates, its snapshot, its outcome, its stored documents. Pure: no clock, no I/O."""
