"""Requests in, answers out, with aiohttp: a module of handlers for each kind of request, and what these share."""
