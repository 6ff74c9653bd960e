"""Whether a bundle matches its reference on a device: run, validate, name the kernel at fault."""
