"""One module per kind of request; each checks what came in and hands it on."""
