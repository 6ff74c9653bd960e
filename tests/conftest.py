"""Loads groups of tests, and lets Ctrl-C reach every test's programs.

The latter also where a shell started us in the background.
"""

from __future__ import annotations

import signal

pytest_plugins = ["tests.group_plugin"]

# Such a shell has the signal ignored, which programs hand down to those that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
