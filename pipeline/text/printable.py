"""The rule for showing text from outside: in a terminal, a log or a page it is text and no more.

Labels, stream ids, names of files and the messages of servers may hold characters that move the
cursor, change the direction of text, or begin another line. Only this module decides which
characters are shown as they are.
"""

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LINE_BREAKS = ("Zl", "Zp")
_PRIVATE = "Co"  # has no meaning for a terminal, and fonts draw icons with it


def printable(text: str) -> str:
    """Return the text on one line, with an escape for each character that is not only shown.

    These are C0, DEL and C1 controls, line and paragraph separators, format characters such as the
    bidirectional controls, surrogates, and code points without a meaning. The escapes are those of
    JSON, so a JSON text on one line remains equal JSON. All other characters stay, and a second
    call changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(one if _is_shown(one) else _escape(one) for one in text)


def printable_lines(text: str) -> str:
    """Return the text with its line feeds, and every line `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def printable_message(text: str) -> str:
    """Return a message with its lines; all but the first are indented.

    So no line feed within a name or a foreign error begins a line that looks like one of ours.
    """
    first, *more = text.splitlines() or [""]
    return "\n".join([printable(first), *(f"  {printable(line)}" for line in more)])


def _is_shown(character: str) -> bool:
    category = unicodedata.category(character)
    return category == _PRIVATE or not (category.startswith("C") or category in _LINE_BREAKS)


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[n : n + 4]}" for n in range(0, len(units), 4))
