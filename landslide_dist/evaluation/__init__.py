"""How good the maps are: scores of predictions, figures, and the pages that show them.

:func:`score.score_predictions` counts whole maps, :func:`cores.count_parts` patches alone;
:mod:`figures`, :mod:`curves`, :mod:`maps` and :mod:`panel` draw; :mod:`report` is the page of a
run, :mod:`experiment_page` that of many divisions, whose :mod:`table` is the paper's.
"""
