"""The fixtures of transports.py for all tests here."""

from transports import adb_server, cuttable_transport, make_item, sshd, transport

__all__ = ["adb_server", "cuttable_transport", "make_item", "transport", "sshd"]
