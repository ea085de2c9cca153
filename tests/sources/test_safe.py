"""Level-2A products as folders of JPEG 2000: their metadata, files and pixels."""

from datetime import date

import numpy as np
import pytest
import rasterio
import s3fs
from affine import Affine

from landslide_dist.config.imagery import ReflectanceConfig, SafeSource
from landslide_dist.errors import DataError
from landslide_dist.sources.imagery import open_images
from landslide_dist.sources.safe import parse_xml, safe_scenes
from landslide_dist.sources.scene import Span

from .conftest import UTM, whole

XML = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info>
<PRODUCT_START_TIME>{day}T10:06:01.024Z</PRODUCT_START_TIME>
<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<Datatake datatakeIdentifier="GS2A_{day}_040993_N{baseline}">
<SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME></Datatake></Product_Info>
<Product_Image_Characteristics><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>
</QUANTIFICATION_VALUES_LIST>{offsets}</Product_Image_Characteristics></n1:General_Info>
</n1:Level-2A_User_Product>
"""


def offsets(**special):
    """The list of products since baseline 04.00; ``special`` by b3, b8 and so on."""
    listed = "".join(
        f'<BOA_ADD_OFFSET band_id="{i}">{special.get(f"b{i}", -1000)}</BOA_ADD_OFFSET>'
        for i in range(13)
    )
    return f"<BOA_ADD_OFFSET_VALUES_LIST>{listed}</BOA_ADD_OFFSET_VALUES_LIST>"


def write_jp2(path, values, transform):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=1, height=values.shape[0], width=values.shape[1],
        dtype=values.dtype, crs=UTM, transform=transform, quality=100, reversible=True,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)


@pytest.fixture
def product(tmp_path, grid):
    """A product with red, red-edge and classes; on conftest's grid."""

    def make(
        day="2023-04-28", baseline="05.09", listed=None, tile="32TQP", red=3000, scl=4,
        quantification=10000,
    ):  # fmt: skip
        folder = tmp_path / f"S2A_{day}_N{baseline.replace('.', '')}_T{tile}.SAFE"
        images = folder / "GRANULE" / f"L2A_T{tile}_A040993_{day}" / "IMG_DATA"
        coarse = grid.transform @ Affine.scale(2)
        half = (grid.height // 2, grid.width // 2)
        red = np.broadcast_to(np.uint16(red), grid.shape)
        stem = f"T{tile}_{day}"
        write_jp2(images / "R10m" / f"{stem}_B04_10m.jp2", red, grid.transform)
        for name, value, dtype in (("B04", 1, "uint16"), ("B8A", 5000, "uint16"),
                                   ("SCL", scl, "uint8")):  # fmt: skip
            values = np.full(half, value, dtype)
            write_jp2(images / "R20m" / f"{stem}_{name}_20m.jp2", values, coarse)
        (folder / "MTD_MSIL2A.xml").write_text(
            XML.format(
                day=day, baseline=baseline, quantification=quantification,
                offsets=offsets() if listed is None else listed,
            )
        )  # fmt: skip
        return folder

    return make


def scenes(*paths, bands=("red", "nir08"), boa_offset="metadata", span=None):
    source = SafeSource(kind="safe", path=[str(path) for path in paths])
    return safe_scenes(source, bands, boa_offset, span or Span())


def test_a_product(product):
    folder = product(listed=offsets(b3=-900, b8=-800))
    (scene,) = scenes(folder)
    assert scene.day == date(2023, 4, 28)
    assert scene.order[:2] == ("32TQP", -5.09)
    images = f"{folder}/GRANULE/L2A_T32TQP_A040993_2023-04-28/IMG_DATA"
    assert scene.bands["red"].path == f"{images}/R10m/T32TQP_2023-04-28_B04_10m.jp2"
    assert scene.classes.path.endswith("R20m/T32TQP_2023-04-28_SCL_20m.jp2")
    # The band list of the instrument: 8 is B8A.
    assert scene.offsets == {"red": 900, "nir08": 800}
    assert scene.metadata == f"{folder}/MTD_MSIL2A.xml"


@pytest.mark.parametrize(
    ("baseline", "listed", "expected"),
    [("05.09", None, 1000), ("03.01", "", 0), ("04.00", "", 1000), ("03.01", offsets(), 1000)],
)
def test_offsets(product, baseline, listed, expected):
    folder = product(baseline=baseline, listed=listed)
    assert scenes(folder)[0].offsets == {"red": expected, "nir08": expected}
    assert scenes(folder, boa_offset=500)[0].offsets == {"red": 500, "nir08": 500}


def test_pixels(grid, product):
    numbers = np.random.default_rng(0).integers(1001, 9999, grid.shape, np.uint16)
    folder = product(red=numbers)
    tree = {
        "bands": ["red", "nir08"],
        "images": [{"role": "pre", "source": {"kind": "safe", "path": str(folder)}}],
    }
    blocks = open_images(ReflectanceConfig.model_validate(tree), grid)
    values, valid = whole(blocks, grid)
    np.testing.assert_array_equal(values[0, 0], numbers - 1000)
    assert (values[0, 1] == 4000).all()
    assert valid.all()
    (step,) = blocks.provenance()
    assert len(step["files"]) == 4
    assert all(entry["size"] > 0 for entry in step["files"])


def test_globs_spans_and_passes(product, tmp_path):
    product()
    product(tile="32TQQ")
    product(baseline="05.10", tile="33TUK")
    product(day="2023-05-03")
    found = scenes(tmp_path / "S2A_*.SAFE")
    assert len(found) == 4
    # Tiles of one datatake, whatever the processing; another day is another pass.
    assert len({scene.acquisition for scene in found}) == 2
    assert len(scenes(tmp_path / "*.SAFE", span=Span(first=date(2023, 5, 1)))) == 1
    match = "no scene of 2024-01-01 to the last day: its 4 are of 2023-04-28 to 2023-05-03"
    with pytest.raises(DataError, match=match):
        scenes(tmp_path / "*.SAFE", span=Span(first=date(2024, 1, 1)))


@pytest.mark.s3
def test_on_s3(grid, product, s3_server, monkeypatch):
    for name, value in s3_server.environment(s3_server.admin).items():
        monkeypatch.setenv(name, value)
    key, secret = s3_server.admin
    fs = s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=s3_server.endpoint)
    fs.put(str(product()), f"{s3_server.bucket}/safe/", recursive=True)
    pattern = f"s3://{s3_server.bucket}/safe/*.SAFE"
    images = [{"role": "pre", "source": {"kind": "safe", "path": pattern}}]
    config = ReflectanceConfig.model_validate({"bands": ["red", "nir08"], "images": images})
    blocks = open_images(config, grid)
    values, valid = whole(blocks, grid)
    assert [values[0, band].max() for band in (0, 1)] == [2000, 4000]
    assert valid.all()
    files = blocks.provenance()[0]["files"]
    assert all(entry["path"].startswith("s3://") and entry["etag"] for entry in files)


class TestRefusals:
    def test_no_folder(self, tmp_path):
        with pytest.raises(DataError, match=r"there is no folder '.*/\*.SAFE'"):
            scenes(tmp_path / "*.SAFE")

    def test_another_level(self, product):
        folder = product()
        (folder / "MTD_MSIL2A.xml").rename(folder / "MTD_MSIL1C.xml")
        with pytest.raises(DataError, match="no readable MTD_MSIL2A.xml: it is no Level-2A"):
            scenes(folder)

    def test_a_missing_band(self, product):
        with pytest.raises(DataError, match="IMG_DATA' has no file of B02"):
            scenes(product(), bands=("blue",))

    def test_a_broken_band(self, grid, product):
        folder = product(red=np.random.default_rng(0).integers(1001, 9999, grid.shape, np.uint16))
        (file,) = folder.glob("GRANULE/*/IMG_DATA/R10m/*.jp2")
        file.write_bytes(file.read_bytes()[:300])
        tree = {"bands": ["red"], "images": [
            {"role": "pre", "source": {"kind": "safe", "path": str(folder)}}]}  # fmt: skip
        with pytest.raises(DataError, match="B04_10m.jp2' cannot be read") as caught:
            whole(open_images(ReflectanceConfig.model_validate(tree), grid), grid)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("settings", "match"),
        [({"baseline": ""}, "has no PROCESSING_BASELINE"),
         ({"baseline": "new"}, "processing baseline 'new'"),
         ({"day": "yesterday"}, "'yesterdayT10.*is no date"),
         ({"quantification": 1000}, "counts reflectance 1 as 1000, not 10000"),
         ({"listed": '<BOA_ADD_OFFSET band_id="13">-1000</BOA_ADD_OFFSET>'}, "broken BOA_ADD"),
         ({"listed": "<BOA_ADD_OFFSET"}, "cannot be read as XML")],
    )  # fmt: skip
    def test_broken_metadata(self, product, settings, match):
        with pytest.raises(DataError, match=match) as caught:
            scenes(product(**settings))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    @pytest.mark.parametrize(
        "declared",
        ['<!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
         '<!DOCTYPE p [<!ENTITY b SYSTEM "file:///etc/hostname">]>'],
    )  # fmt: skip
    def test_entities(self, declared, encoding):
        text = f'<?xml version="1.0" encoding="{encoding}"?>{declared}<p>&b;</p>'
        with pytest.raises(DataError, match="it declares a document type"):
            parse_xml(text.encode(encoding), "MTD_MSIL2A.xml")
