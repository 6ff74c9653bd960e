"""What a model or bundle is and which devices it fits: one file per kind, each a Description."""
