"""How late may a call still begin?

A message whose call would begin later is `Throttled`: no call is made for it, so it spends no attempt.
"""

LEAST_CALL_S = 0.05


def latest_begin(deadline: float) -> float:
    """A call that begins later could not end by ``deadline`` and would only leave its message in doubt."""
    return deadline - LEAST_CALL_S
