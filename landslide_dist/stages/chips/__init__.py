"""A run of chips, one module a command; :mod:`scenes` is ``predict``, :mod:`run` all of it."""
