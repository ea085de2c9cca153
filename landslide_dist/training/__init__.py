"""Training: the Lightning module with its one step (``module``) and its trainer (``fit``).

``callbacks`` keep the best model and the history, ``resume`` writes the state that a stopped
training goes on from, ``ranks`` is who of several processes does what, ``search`` compares
settings.
"""
