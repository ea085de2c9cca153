"""One module a command, in the order of the pipeline; read these first.

``ingest`` raw files -> cube · ``derive`` slope, uphill index, matched images · ``split`` training,
validation, test · ``train`` models · ``predict`` maps · ``evaluate`` scores · ``report`` the page ·
``run`` all of them, skipping what is up to date · ``plan`` what they will take · ``search``
hyper-parameters · ``experiment`` every model on every division, side by side · ``inventory``
landslides as polygons · ``submit`` and ``status`` jobs of a cluster.

Packages have the commands of one kind: :mod:`events` experiments on several events and maps of new
ones; :mod:`chips` classifiers of pictures and the scenes they are carried to; :mod:`bias` detected
and recorded landslides of two regions; :mod:`doctor` what an installation can count on.
"""
