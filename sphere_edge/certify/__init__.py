"""Whether a bundle answers on a device as its reference says: run, judge, name what is wrong."""
