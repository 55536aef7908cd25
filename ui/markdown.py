"""Text by anyone, safe to stand in Markdown."""


def escape_markdown(text: str) -> str:
    """Text from a checkpoint or a path, safe to stand inside Markdown: every mark-up character is escaped."""
    return "".join(f"\\{character}" if character in r"\`*_{}[]()<>#+-.!|~$:" else character for character in text)
