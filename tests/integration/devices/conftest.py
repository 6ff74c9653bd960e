"""The fixtures of roads.py for all tests here."""

from roads import adb_server, cuttable_road, make_item, road, sshd

__all__ = ["adb_server", "cuttable_road", "make_item", "road", "sshd"]
