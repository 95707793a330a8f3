"""What a run is, what it means, how it is stored and sent: pure, no clock, no I/O."""
