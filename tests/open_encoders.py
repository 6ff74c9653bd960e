"""Opens a text model with each of several image encoders and shows it an image.

`python -m tests.open_encoders MODEL FILE…` prints a line for each file, before and after: a file
that ends the process has the first only.
"""

from __future__ import annotations

import resource
import sys

from PIL import Image

from sphere_edge import TextManager
from sphere_edge.errors import SphereEdgeError

_MOST_BYTES = 6_000_000_000


def main(model: str, *files: str) -> None:
    """Says of each file what became of it: `OK`, or the status and the message."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    content = [Image.new("RGB", (90, 60), "red"), {"type": "text", "text": "What is this?"}]
    for file in files:
        print(file, end="\t", flush=True)
        try:
            with TextManager.open(model, mmproj=file, threads=2) as text:
                text.chat([{"role": "user", "content": content}], max_tokens=1).text()
            print("OK", flush=True)
        except SphereEdgeError as error:
            print(type(error).__name__, error.message.replace("\n", " "), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
