"""The user's SSH config, as it is read where there is no OpenSSH."""

import os

from fuzz.file_with import file_with
from sphere_edge.devices import ssh_config


def read(data: bytes) -> None:
    """`data` as a file; one that could name a program to run is left out."""
    if b"exec" in data.lower():
        return
    os.environ["PATH"] = "/nowhere"
    os.environ[ssh_config.CONFIG_VARIABLE] = str(file_with(data, "ssh_config"))
    ssh_config.named_hosts()
    host = ssh_config.resolve("board", user="pi")
    ssh_config.first_jump(host)
