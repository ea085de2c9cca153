"""``doctor``: :mod:`examine` is the command; every other module looks at one thing."""
