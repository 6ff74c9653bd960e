"""App projects for Android and iOS, rendered from a template and from bundles."""
