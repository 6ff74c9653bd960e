"""An image in a chat."""

from sphere_edge.runtime import chat_images


def read(data: bytes) -> None:
    """`data` as a file."""
    chat_images.size_of(data, "the image")
    chat_images.opened(data, "the image")
