"""Patches: which pixels belong to which part, which patches there are, in which order they come.

``split`` divides the labels and ``audit`` counts what one part sees of another; ``index`` lists the
patches of a part (``cells`` is the grid they are counted in), ``order`` puts them in sequence,
``reader`` cuts them out of a cube, ``statistics`` sums up the training pixels, and ``datamodule``
hands all of it to Lightning.
"""
