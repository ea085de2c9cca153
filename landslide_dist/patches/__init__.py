"""Patches: which pixels belong to which part, which patches there are, in which order they come.

``split`` divides the labels (``masked`` hides some), ``audit`` counts what one part sees of
another. ``index`` lists the patches of a part (``cells`` is the grid they are counted in),
``statistics`` sums up its pixels, ``summary`` keeps both. ``order`` puts patches in sequence,
``region`` keeps the planes where they fit (``node`` is who shares them), ``reads`` plans what to
decode where they do not, ``stream`` reads ahead and cuts (``reader``, ``planes``, ``cutter``),
``datamodule`` hands batches to Lightning (``ordered`` is what it shares with ``chips``, whole
pictures instead of patches). Of events, ``pair`` makes planes of two images,
``mosaic`` sets several regions side by side, ``augment`` varies what is trained on.
"""
