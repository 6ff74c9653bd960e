"""Weight formats: how a matrix of weights is stored for the kernels of one instruction set."""
