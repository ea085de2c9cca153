"""How good the maps are: scores of predictions, figures, and the report.

:func:`score.score_predictions` counts, :mod:`figures` and :mod:`maps` draw, :mod:`report` puts both
on one page.
"""
