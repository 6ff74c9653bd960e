"""Whether a model fits a device: the memory that it takes, and the speed that is possible there."""
