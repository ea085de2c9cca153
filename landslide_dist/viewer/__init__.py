"""The map in a browser, served from the stores of a run.

``layers``   what can be shown, how it is coloured by default
``window``   which level and which window of it a screen needs, and their values
``palette``  colours of bytes
``paint``    values -> bytes and their palette
``pictures`` what is sent to the browser, and when
``legend``   what the colours mean, HTML
``readout``  the values of one pixel, and the uphill points it looks at
``controls`` the panel beside the map
``canvas``   the map
``page``     one session: what happens on pan, zoom, click and choice
``server``   the Bokeh server that serves it
"""
