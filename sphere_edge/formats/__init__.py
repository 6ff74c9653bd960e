"""What is in a model folder or file, checked before it is trusted."""
