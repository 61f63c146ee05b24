from __future__ import annotations

from pathlib import Path

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.model.arguments import Placement, may_read_pickles


def test_no_placing_argument_is_no_placement() -> None:
    assert Placement.from_arguments({"pretrained": "x"}) is None


def test_memory_is_read_by_device_in_both_kinds_of_units() -> None:
    arguments = {"device_map": "auto", "max_memory": "cpu:2GiB; 0:1.5MB;1:0", "offload_folder": "a/b"}
    placement = Placement.from_arguments(arguments)
    assert placement == Placement("auto", {"cpu": 2 << 30, "cuda:0": 1_500_000, "cuda:1": 0}, Path("a/b"))


@pytest.mark.parametrize(
    "text", ["", "2GiB", "cpu", "cpu:", "cpu:2 potatoes", "disk:2GB", "cpu:1GB;cpu:2GB", "cpu:1GB,"]
)
def test_malformed_memory_is_an_error_that_shows_how_it_is_written(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as 'cpu:2GiB;0:10GiB'"):
        Placement.from_arguments({"device_map": "auto", "max_memory": text})


@pytest.mark.parametrize("name", ["disk", "gpu", "", "balanced", "{'': 'cpu'}"])
def test_an_unknown_device_map_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match="expected device_map to be auto, cpu"):
        Placement.from_arguments({"device_map": name})


@pytest.mark.parametrize("other", [{"max_memory": "cpu:1GB"}, {"offload_folder": "x"}])
@pytest.mark.parametrize("first", [{}, {"device_map": "cpu"}])
def test_what_only_auto_heeds_is_an_error_without_it(first: dict[str, str], other: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="to go with device_map=auto"):
        Placement.from_arguments(first | other)


def test_pickles_are_read_only_where_that_is_said() -> None:
    assert not may_read_pickles({})
    assert may_read_pickles({"pickle": "allow"})
    with pytest.raises(UsageError, match="expected pickle to be allow or refuse, got 'yes'"):
        may_read_pickles({"pickle": "yes"})
