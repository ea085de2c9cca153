import pytest

from landslide_dist.config.categories import Categories, inspire
from landslide_dist.config.channels import Channels
from landslide_dist.errors import DataError


def lithology(codes, unknown=None, extra=(), **others):
    return Channels({"lithology": Categories(codes=codes, unknown=unknown), **others}, extra)


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


CLAY_AND_GRANITE = lithology({1: "clay", 2: "granite"})
COVER = Categories(codes={1: "forest"})


@pytest.mark.parametrize(
    "cube",
    [
        CLAY_AND_GRANITE,
        lithology({2: "granite"}),
        lithology({1: "clay", 2: "granite"}, extra=("ndvi",), land_cover=COVER),
    ],
)
def test_a_model_reads_cubes_of_its_codes(cube):
    cube.check_readable_by(CLAY_AND_GRANITE)


@pytest.mark.parametrize(
    ("cube", "message"),
    [
        (
            lithology({1: "granite", 2: "clay"}),
            "code 1 of 'lithology' is 'granite' in this cube but 'clay' to the model: ingest",
        ),
        (
            lithology({1: "clay", 2: "granite", 3: "marl"}),
            "code 3 of 'lithology' is 'marl' in this cube but no category to the model: ingest the "
            r"cube with the model's codes \(sources.categorical.lithology.categories\)",
        ),
        (lithology({1: "clay", 7: "granite"}), "code 7 of 'lithology' is 'granite' .* no category"),
        (
            lithology({1: "clay", 2: "granite"}, unknown=2),
            "'lithology' without a value is 'granite' in this cube but no category to the model: "
            "set sources.categorical.lithology.categories.unknown to null",
        ),
        (
            Channels({"land_cover": COVER}),
            "reads the categorical variable 'lithology', which this cube does not have: give it "
            "in sources.categorical",
        ),
    ],
)
def test_a_cube_that_a_model_would_misread_is_refused(cube, message):
    with pytest.raises(DataError, match=message):
        cube.check_readable_by(CLAY_AND_GRANITE)


def test_a_model_needs_its_extra_variables():
    model = Channels({}, extra=("cplan", "cprof"))
    Channels({}, extra=("cprof", "ndvi", "cplan")).check_readable_by(model)
    with pytest.raises(DataError, match="continuous variable 'cplan'.* in sources.continuous"):
        Channels({}, extra=("cprof",)).check_readable_by(model)


def test_meanings_say_which_channel_has_no_value():
    meanings = lithology({1: "clay", 2: "granite"}, unknown=2).meanings
    assert meanings == ("slope", "lithology=clay", "lithology=granite or no value", "elevation")
    assert CLAY_AND_GRANITE.meanings == CLAY_AND_GRANITE.names
