from landslide_dist.config.categories import inspire
from landslide_dist.config.channels import Channels


def test_inspire_lists_give_the_papers_94_channels():
    channels = Channels(inspire())
    names = channels.names
    assert len(names) == 94
    # Published feature order: slope 0, lithology 1-44, land cover 45-49, family 50-54, age 55-92.
    assert names[0] == "slope"
    assert names[1] == "lithology=gneiss"
    assert names[44] == "lithology=fluvial"
    assert names[45] == "land_cover=agricultural areas"
    assert names[54] == "rock_family=unknown"
    assert names[55] == "rock_age=Cambriano"
    assert names[93] == "elevation"


def test_extra_variables_follow_elevation():
    channels = Channels({}, extra=("cplan", "cprof"))
    assert channels.names == ("slope", "elevation", "cplan", "cprof")
