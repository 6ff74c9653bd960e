"""The bundle: the folder (or `.sphere` zip) that we ship to devices. Written spec: docs/bundle.md."""
