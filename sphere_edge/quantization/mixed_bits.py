"""Which models packaging measures, and what it calls those that have q4 and q8 matrices."""

from __future__ import annotations

NAME = "q4+q8"
# Smaller models stay plain q4 where nobody asks for more. They are packaged within seconds, which
# measuring would multiply, and a bundle of a few megabytes can as well be packaged with --quant q8.
FEWEST_PARAMETERS = 20_000_000
# Larger ones lose less by 4 bits, and measuring them would take minutes of CPU time.
MOST_PARAMETERS = 200_000_000
# With `--bits` up to here; each reading of a larger one takes a minute and more.
MOST_BIT_BY_BIT = 700_000_000


def is_measured(parameters: int, *, has_experts: bool) -> bool:
    """Whether packaging measures such a model where nobody asks for a format.

    Not with experts: every reading would unpack all of them.
    """
    return not has_experts and FEWEST_PARAMETERS <= parameters <= MOST_PARAMETERS
