"""What it costs to bring an update to a page, with rpa-server and with other servers: ``python -m benchmarks``.

Not part of the installed package. Each server runs as a process of its own and gets the same load; the CPU time and the
memory that it used are read from the kernel.
"""
