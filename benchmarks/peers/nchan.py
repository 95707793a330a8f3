"""nchan, a publish/subscribe module of nginx, from Debian's package: one worker, in memory, without an access log."""

import contextlib
import getpass
import grp
import os
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path

from rpa_server import safejson

from ..client import Client
from ..load import Way
from ..messages import FIRST, message, session_id
from ..publishers import HttpWire, Wire, post
from .base import Deployment, Options, Peer

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
#: Shared memory that is enough for 1,000 sessions, and what a message of ours takes of it, rounded up.
_MEMORY_MB, _MESSAGE_BYTES = 512, 1024

# Each session keeps 500 messages, as with rpa-server. A viewer of /state or /poll is sent the newest one first; a
# viewer of /ws or /sse gets only messages that are published after it joined, or after the message that it names. Of its
# own accord nchan sends no pings; on /pinged it sends as many as rpa-server does.
_CONFIG = """
{user}
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    nchan_shared_memory_size {memory}M;
    nchan_message_buffer_length 500;
    nchan_message_timeout 1d;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        nchan_channel_id $1;
        nchan_subscriber_first_message newest;
        location ~ ^/pub/(.+)$ {{ nchan_publisher; }}
        location ~ ^/ws/(.+)$ {{ nchan_subscriber websocket; }}
        location ~ ^/sse/(.+)$ {{ nchan_subscriber eventsource; }}
        location ~ ^/pinged/(.+)$ {{ nchan_subscriber websocket; nchan_websocket_ping_interval {heartbeat}; }}
        location ~ ^/state/(.+)$ {{ nchan_subscriber websocket; nchan_subscriber_first_message -1; }}
        location ~ ^/state-sse/(.+)$ {{ nchan_subscriber eventsource; nchan_subscriber_first_message -1; }}
        location ~ ^/poll/(.+)$ {{ nchan_subscriber longpoll; nchan_subscriber_first_message -1; }}
    }}
}}
"""


class Nchan(Peer):
    """nginx with nchan; updates are published over HTTP."""

    needs_redis = False

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.ways = {
            "ws": Way("ws", "/ws/bench-{}"),
            "sse": Way("sse", "/sse/bench-{}"),
            "pinged": Way("ws", "/pinged/bench-{}"),
            "state-sse": Way("sse", "/state-sse/bench-{}"),
            "state": Way("ws", "/state/bench-{}"),
            "poll": Way("poll", "/poll/bench-{}"),
        }

    def argv(self, port: int, redis_url: str, directory: Path, options: Options) -> Sequence[str]:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # Started as root, nginx runs its workers as this user; otherwise the line would only cause a warning.
        user = f"user {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name};" if os.getuid() == 0 else ""
        config = directory / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                user=user, module=MODULE, directory=directory, port=port, files=files, connections=files - 64,
                memory=_MEMORY_MB + options.messages * _MESSAGE_BYTES // 2**20,
                heartbeat=max(1, round(options.heartbeat_s)),
            )
        )  # fmt: skip
        return (shutil.which("nginx") or "nginx", "-c", str(config), "-p", str(directory))

    def wire(self, deployment: Deployment) -> Wire:
        return HttpWire(deployment.server.port)

    def seed(self, deployment: Deployment, sessions: int, *, first: int = 0, updates: int = 1) -> None:
        """Publish *updates* messages to each session; a single one is left out: nchan needs no first state."""
        if updates > 1:
            self._publish(deployment, range(first, first + sessions), range(FIRST, FIRST + updates))

    def seed_missed(self, deployment: Deployment, number: int, *, updates: int, missed: int) -> str:
        end = FIRST + updates
        self._publish(deployment, range(number, number + 1), range(FIRST, end - missed))
        request = b"GET /pub/%b HTTP/1.1\r\nHost: x\r\nAccept: text/json\r\n\r\n" % session_id(number).encode()
        with contextlib.closing(Client(deployment.server.port)) as client:
            last = safejson.load_object(client.call(request).body)["last_message_id"]
        self._publish(deployment, range(number, number + 1), range(end - missed, end))
        return f"last_event_id={last}"

    def publication(self, number: int) -> bytes:
        name = session_id(number).encode()
        return post(name, message(name, FIRST, 0))

    def _publish(self, deployment: Deployment, sessions: range, numbers: range) -> None:
        with contextlib.closing(self.wire(deployment)) as wire:
            for session in sessions:
                name = session_id(session).encode()
                for number in numbers:
                    wire.send(wire.encode(name, message(name, number, 0)), 1)
            wire.settle()
