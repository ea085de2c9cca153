"""``bias``: :mod:`compare` is the command; regions, scenes and check sheets are beside it."""
