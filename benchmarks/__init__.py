"""What it costs to bring an update to a page, here and elsewhere: ``python -m benchmarks``.

Not part of the package: it starts servers of several makes as processes of their own, loads all of them in the same
way, and asks the operating system what they used.
"""
