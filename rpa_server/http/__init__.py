"""One module for each kind of request; each checks its input and hands it on."""
