"""What turns a model's source into the contents of a bundle: one file per engine."""
