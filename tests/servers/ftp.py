"""A real FTP server: pyftpdlib on a free loopback port, in a thread."""

import os
import threading
import warnings
from pathlib import Path
from typing import Self

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it stands on asyncore, which Python calls deprecated
    from pyftpdlib import log
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

log.config_logging(level=50)

USER, PASSWORD = "ada", "s3cr:et p@ss/word"


class Served:
    """A folder that a server shows to ``USER`` with ``PASSWORD``.

    ``commands`` and ``logins`` tell what it was asked; ``failing`` is what it answers
    when certain folders below are to be listed.

    Args:
        root: The folder.
        most: Connections at once.
    """

    def __init__(self, root: Path, *, most: int = 512) -> None:
        self.root = root
        self.commands: list[str] = []
        self.logins = 0
        self.failing: dict[str, str] = {}
        authorizer = DummyAuthorizer()
        authorizer.add_user(USER, PASSWORD, str(root), perm="elr")
        served = self

        class Handler(FTPHandler):
            def pre_process_command(self, line, cmd, arg):
                served.commands.append(cmd)
                super().pre_process_command(line, cmd, arg)

            def ftp_MLSD(self, path):  # noqa: N802  pyftpdlib's name
                reply = served.reply_to(path)
                return self.respond(reply) if reply else super().ftp_MLSD(path)

            def ftp_LIST(self, path):  # noqa: N802  pyftpdlib's name
                reply = served.reply_to(path)
                return self.respond(reply) if reply else super().ftp_LIST(path)

            def on_login(self, username):  # noqa: ARG002
                served.logins += 1

        self._authorizer = Handler.authorizer = authorizer
        Handler.auth_failed_timeout = 0
        self.server = FTPServer(("127.0.0.1", 0), Handler)
        self.server.max_cons_per_ip = most
        self.port = self.server.address[1]
        self._thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"timeout": 0.02, "handle_exit": False}
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.ioloop.call_later(0, self.server.close_all)
        self._thread.join()

    def reply_to(self, path: str) -> str | None:
        """Return what ``failing`` says of a path on disk."""
        return self.failing.get(os.path.relpath(path, self.root))

    def close_folder(self, folder: Path) -> None:
        """Forbid to list a folder."""
        self._authorizer.override_perm(USER, str(folder), perm="e")

    def hang_up(self) -> None:
        """Close the connections that are open, as a server does with idle ones."""
        done = threading.Event()

        def close() -> None:
            for handler in [one for one in self.server.ioloop.socket_map.values() if isinstance(one, FTPHandler)]:
                handler.close()
            done.set()

        self.server.ioloop.call_later(0, close)
        done.wait()
