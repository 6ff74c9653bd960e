"""One file per verb; verbs do not import each other."""
