"""sphere-edge: put AI models on phones and edge boards."""

__version__ = "0.1.0"
