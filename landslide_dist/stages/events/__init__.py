"""Event mapping: :mod:`experiment` on several events, :mod:`map_event` of one that is new."""
