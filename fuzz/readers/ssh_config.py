"""The user's SSH config, as it is read where there is no OpenSSH."""

import os
from unittest import mock

from fuzz.file_with import file_with
from sphere_edge.devices import ssh_config


def read(data: bytes) -> None:
    """`data` as a file; left out where it could run programs or look names up."""
    if any(word in data.lower() for word in (b"exec", b"canonical")):
        return
    config = str(file_with(data, "ssh_config"))
    with mock.patch.dict(os.environ, {"PATH": "/nowhere", ssh_config.CONFIG_VARIABLE: config}):
        ssh_config.named_hosts()
        host = ssh_config.resolve("board", user="pi")
        ssh_config.first_jump(host)
