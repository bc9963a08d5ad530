"""TOML files of the operator, read so that no error repeats what stands in them."""

import re
import tomllib
from typing import Any, Final

_POSITION: Final = re.compile(r"\(at [^()]*\)\Z")


class NotToml(ValueError):
    """The bytes are not TOML. The text completes "the file …", and may name a position; it repeats no byte."""


def parse_toml(data: bytes) -> dict[str, Any]:
    """A TOML document in UTF-8, also with the byte order mark that editors of Windows write. Raises NotToml."""
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        # Only the position: the message may quote a character of a secret, newer ones carry the whole document.
        position = _POSITION.search(str(error))
        what = f"is not TOML {position[0]}" if position else "is not TOML"
    except UnicodeDecodeError:
        what = "is not UTF-8 text"
    except RecursionError:
        what = "is nested too deeply"
    except ValueError:
        what = "contains a number that is too long"
    # Raised outside of the handler: as its context, the parser's error would carry the whole text.
    raise NotToml(what)
