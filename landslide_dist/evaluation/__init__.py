"""How good the maps are: scores of predictions, figures, and the pages that show them.

:func:`score.score_predictions` counts whole maps, block by block (:mod:`counting`), also by
:mod:`strata`; :func:`cores.count_parts` counts patches alone. :mod:`comparison` sets models against
each other; :mod:`metrics` says what ``metrics.json`` holds. :mod:`figures`, :mod:`curves`,
:mod:`class_figures`, :mod:`difference_figure`, :mod:`maps` and :mod:`panel` draw; :mod:`report` is
the page of a run, :mod:`runs_page` that of several runs, :mod:`experiment_page` that of many
divisions, whose :mod:`table` is the paper's. Of events, :mod:`events` holds what experiments found,
:mod:`events_page` is their page, :mod:`event_report` that of one event; :mod:`inventory` makes
polygons of maps, :mod:`inventory_match` sets two inventories against each other. Of image chips,
:mod:`chips` scores and :mod:`chips_page` shows them, :mod:`embedding` says how far sensors lie
apart, :mod:`pointing` and :mod:`grad_cam_figures` where classifiers look; :mod:`bias` compares what
two regions report, :mod:`bias_checked` what people see in its detections, :mod:`bias_page` is its
page.
"""
