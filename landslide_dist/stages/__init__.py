"""One module a command, in the order of the pipeline; read these first.

``ingest`` raw files -> cube · ``derive`` slope and uphill index · ``split`` training, validation,
test · ``train`` models · ``predict`` maps · ``evaluate`` scores · ``report`` the page ·
``run`` all of them, skipping what is up to date · ``plan`` what they will take · ``search``
hyper-parameters · ``experiment`` every model on every division, side by side, or (``events``) on
several events · ``map_event`` a new event by a trained model · ``inventory`` landslides as
polygons.
"""
