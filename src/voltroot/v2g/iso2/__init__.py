"""Messages of ISO 15118-2 and what they are made of."""

from voltroot.v2g.iso2.charging import *  # noqa: F403 -- a hundred names of one standard
from voltroot.v2g.iso2.datatypes import *  # noqa: F403 -- a hundred names of one standard
from voltroot.v2g.iso2.messages import *  # noqa: F403 -- a hundred names of one standard
from voltroot.v2g.iso2.schedules import *  # noqa: F403 -- a hundred names of one standard
from voltroot.v2g.iso2.session import *  # noqa: F403 -- a hundred names of one standard
from voltroot.v2g.iso2.values import *  # noqa: F403 -- a hundred names of one standard
