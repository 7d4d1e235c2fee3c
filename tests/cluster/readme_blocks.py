"""The commands in the ```sh blocks of a Markdown file. A comment on the line before a block says what to do with it:

    <!-- not run: why -->      by nobody: it needs what a test machine does not have

Everything else is run: commands of Docker by tests/containers (`readme_blocks.py --docker FILE` prints them), others by
readme_test.py."""
import re
import sys


class Command:
    def __init__(self, line, text):
        self.line, self.text = line, text  # Where it stands; without its comment.

    def is_docker(self):
        return re.match(r"(\w+=\S+ )*(docker|docker-compose|DEPLOY=.*|scripts/compose|scripts/rolling-restart|"
                        r"make (image|up|logs|smoke|down|clean|shell|monitoring-up))\b", self.text) is not None


class Block:
    def __init__(self, line, not_run):
        self.line, self.not_run, self.commands = line, not_run, []


def without_comment(line):
    """`#` begins a comment at the start or after a blank, outside of quotes."""
    quote = None
    for position, letter in enumerate(line):
        if quote:
            quote = None if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (position == 0 or line[position - 1].isspace()):
            return line[:position].rstrip()
    return line.rstrip()


def blocks_of(path):
    with open(path) as file:
        lines = file.read().splitlines()
    blocks, inside, mark, continued = [], None, None, None
    for number, line in enumerate(lines, 1):
        if inside is None:
            if line == "```sh":
                inside = Block(number, mark)
            elif found := re.fullmatch(r"<!-- not run: (.+) -->", line):
                mark = found.group(1)
            elif line.strip():
                mark = None
            continue
        if line == "```":
            blocks.append(inside)
            inside = mark = None
            continue
        text = without_comment(line)
        if continued:
            text = f"{continued.text[:-1].rstrip()} {text.strip()}"
            continued.text = text
        elif text.strip():
            inside.commands.append(Command(number, text))
        continued = inside.commands[-1] if text.endswith("\\") else None
    return blocks


if __name__ == "__main__":
    flag, markdown = sys.argv[1:]
    assert flag == "--docker"
    for block in blocks_of(markdown):
        for command in block.commands:
            if command.is_docker() and not block.not_run:
                print(command.text.strip())
