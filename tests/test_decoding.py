"""What is said of values that cannot stand where they do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from voltroot.apis.pnc.wire import IsoEdition, IssueSecc
from voltroot.app.config import Config
from voltroot.app.station_config import StationConfig
from voltroot.decoding import why

EDITIONS = "ISO15118-2, ISO15118-20"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Config, {"log": {"level": "loud"}}, "'loud' is not one of debug, error, info, warning - at `$.log.level`"),
        (
            Config,
            {"vpki": {"callers": [{"name": "a", "products": ["v1/prov", "v9"]}]}},
            "'v9' is not one of v1/est, v1/prov, v2/est, v2/prov, v2/vehicle - at `$.vpki.callers[0].products[1]`",
        ),
        (StationConfig, {"certs": "a", "csms": {"profile": 9}}, "9 is not one of 1, 2, 3 - at `$.csms.profile`"),
        (IssueSecc, {"seccId": "a", "edition": "foo"}, f"'foo' is not one of {EDITIONS} - at `$.edition`"),
        (dict[str, IsoEdition | None], {"a": "b"}, f"'b' is not one of {EDITIONS} - at `$[...]`"),
        # Where nothing can be added, the decoder's own words stand.
        (IsoEdition, "b", "Invalid enum value 'b'"),
        (dict[IsoEdition, str], {"a": "b"}, "Invalid enum value 'a' - at `key` in `$`"),
        (Config, {"log": {"levl": 1}}, "Object contains unknown field `levl` - at `$.log`"),
    ],
)
def test_of_a_value_that_is_not_allowed_it_says_which_are(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(value, kind)
    assert why(refused.value, kind) == said
