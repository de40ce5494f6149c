"""A picture on a page leads to the picture itself, where it can be enlarged."""

import re

IMAGE = re.compile(r'<img [^>]*?src="([^"]+)"[^>]*>')


def on_page_content(content, **_):
    """Every picture becomes a link."""
    return IMAGE.sub(r'<a class="picture" href="\1">\g<0></a>', content)
