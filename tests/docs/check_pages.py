"""What pages say of the tree, compared with the tree.

    check_pages.py errors FILE.md     every text in backticks in the first column of a table is one that the sources can print
    check_pages.py paths FILE.md...   every path of the tree in backticks is there

Run from the source root. In an error text an ellipsis stands for what varies.
"""
import re
import sys
from pathlib import Path

FOLDERS = "bench|cmake|configs|core|docs|io|kernels|multi|offload|packaging|scripts|tests"
SOURCES = ("core", "io", "offload", "kernels")
LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*(?:PRI\w+)?\s*"(?:[^"\\\n]|\\.)*")*')
CONVERSION = re.compile(r"%[-+ 0#]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z|t|j)?[a-zA-Z]")


def texts(source):
    """The string literals of a C source, neighbours joined, conversions as ellipses."""
    for match in LITERALS.finditer(source):
        joined = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', re.sub(r"PRI\w+", '"d"', match.group())))
        yield CONVERSION.sub("…", joined.replace('\\"', '"').replace("\\\\", "\\").replace("%%", "%"))


def printable(quoted, known):
    pattern = re.compile(".*".join(re.escape(part) for part in quoted.split("…")), re.S)
    return any(pattern.search(text) for text in known)


def wrong_errors(page):
    known = [text for folder in SOURCES for file in Path(folder).rglob("*.[ch]") for text in texts(file.read_text())]
    rows = re.findall(r"^\| `([^`]+)` \|", Path(page).read_text(), re.M)
    if not rows:
        return [f"{page}: no table of errors"]
    return [f"{page}: no source says: {row}" for row in rows if not printable(row.replace("\\|", "|"), known)]


def wrong_paths(page):
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", Path(page).read_text())
    return [f"{page}: {path} is not there" for path in sorted(set(named)) if not Path(path).exists()]


def main():
    if sys.argv[1:2] == ["errors"] and len(sys.argv) == 3:
        wrong = wrong_errors(sys.argv[2])
    elif sys.argv[1:2] == ["paths"] and len(sys.argv) > 2:
        wrong = [line for page in sys.argv[2:] for line in wrong_paths(page)]
    else:
        sys.exit(__doc__)
    if wrong:
        sys.exit("\n".join(wrong))


main()
