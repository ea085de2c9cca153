"""One module a command, in the order of the pipeline; read these first.

``ingest`` raw files -> cube · ``derive`` slope and uphill index · ``split`` training, validation,
test · ``train`` models · ``predict`` maps · ``evaluate`` scores · ``report`` the page ·
``run`` all of them, skipping what is up to date · ``plan`` what they will take · ``search``
hyper-parameters · ``experiment`` every model on every division, side by side, or (``events``) on
several events · ``map_event`` a new event by a trained model · ``inventory`` landslides as
polygons. Of image chips: ``chips`` divides pictures and trains classifiers, ``chips_evaluate`` and
``chips_experiment`` score them, ``scenes`` classifies satellite scenes, ``explain_chips`` shows
what they look at, ``bias`` compares two regions' detected and recorded landslides, ``run_chips``
all of it.
"""
