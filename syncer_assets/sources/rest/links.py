"""The Link header (RFC 8288): `<https://api.example.com/orders?page=2>; rel="next", <..>; rel="last"`."""

import re

_LINK = re.compile(r'\s*<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)\s*(?:,|$)')
_PARAMETER = re.compile(r';\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')


def next_link(header: str) -> str | None:
    """The address of the next page, None if there is none. The first `rel` of a link counts (section 3.3)."""
    for link in _LINK.finditer(header):
        for parameter in _PARAMETER.finditer(link[2]):
            if parameter[1].lower() == "rel":
                if "next" in (parameter[2] or parameter[3] or "").lower().split():
                    return link[1] or None
                break
    return None
