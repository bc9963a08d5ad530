"""The practice issuer's page for people."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from mintonce_dev.practice_log import Post

SHOWN: Final = 20
"""Rows."""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy: the page needs nothing from anywhere."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<title>{minted} minted: practice issuer</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
  body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
  table {{ border-collapse: collapse; width: 100%; font-size: .9rem }}
  th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; overflow-wrap: anywhere }}
  .count {{ font-size: 3rem; margin: 0 }}
</style>
<h1>Practice issuer</h1>
<p class="count">{minted}</p>
<p>tokens minted with {count} POSTs to <code>/oauth/token</code>. Each lives {lifetime} s. This server plays an OAuth
domain on your own machine: its tokens open nothing. For scripts: <a href="/posts">/posts</a>.</p>
<table>
<thead><tr><th>Time (UTC)<th>Status<th>Client<th>Audience<th>Scope<th>Token id</thead>
<tbody>
{rows}
</tbody>
</table>
"""


def render(posts: Sequence[Post], *, count: int, minted: int, lifetime: float) -> str:
    """HTML with the counter and the last posts, newest first."""
    rows = "\n".join(map(_row, reversed(posts[-SHOWN:]))) or '<tr><td colspan="6">Nobody has asked yet.'
    return _PAGE.format(count=count, minted=minted, lifetime=f"{lifetime:g}", rows=rows)


def _row(post: Post) -> str:
    time = datetime.fromtimestamp(post.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    cells = (time, str(post.status), post.client_id, post.audience, post.scope, post.jti)
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells)
