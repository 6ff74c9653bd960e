"""A server on a board: one file made for the board's own Python, started there and reached here."""
