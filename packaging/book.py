"""What mdBook asks for the pages (book.toml): links that lead out of docs/ are made to lead to the repository."""

import json
import re
import sys

REPOSITORY = "https://github.com/tmux-janitor/tmux-janitor/blob/main/"


def mend(item):
    chapter = item.get("Chapter") if isinstance(item, dict) else None
    if not chapter:
        return
    text = re.sub(r"<!-- test:.*?-->\n", "", chapter["content"], flags=re.DOTALL)
    chapter["content"] = re.sub(r"\]\(\.\./", "](" + REPOSITORY, text)
    for below in chapter["sub_items"]:
        mend(below)


# `supports RENDERER` asks whether it is of use there: always.
if sys.argv[1:2] != ["supports"]:
    _, book = json.load(sys.stdin)
    for item in book.get("items") or book.get("sections"):
        mend(item)
    json.dump(book, sys.stdout)
