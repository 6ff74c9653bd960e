"""The bundle: the folder (or `.sphere` zip) we ship to devices. Written spec: docs/bundle.md."""
