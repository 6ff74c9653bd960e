"""From a traced model to machine code for one CPU: target, kernels, passes, shared library."""
