"""Runs the marked blocks of README.md against a server of its own, and compares what they print with what is shown.

    python3 scripts/tour.py BURSAR [README]

A mark is an HTML comment before a block of shell: `<!-- tour -->`. The block that follows the shell, if it comes before
the next mark, is what it prints:

  json  one or more values, of which the output holds at least this: more fields may be there, lists are as long as
        shown. "…" stands for any value, and as the last element of a list for any further ones.
  text  lines that stand in the output in this order. "…" in a line stands for anything.

Words in the mark: `fails` expects the shell to fail; `retry` tries again for a few seconds, for answers that come a
little later; `NAME=path.to.field` keeps a value of the output, as $NAME of the blocks after it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

from server import Server

ANY = "…"
RETRY_SECONDS = 5
BLOCK_SECONDS = 60
GRPC, HTTP = "localhost:50051", "localhost:8080"


def blocks(text):
    """Yields (line, mark, shell, kind, expected) of each mark."""
    marks = list(re.finditer(r"^<!-- tour(?P<words>[^>]*)-->\n", text, re.M))
    for at, mark in enumerate(marks):
        end = marks[at + 1].start() if at + 1 < len(marks) else len(text)
        fences = list(re.finditer(r"^```(\w+)\n(.*?)^```$", text[mark.end() : end], re.M | re.S))
        line = text.count("\n", 0, mark.start()) + 1
        if not fences or fences[0][1] != "sh":
            sys.exit(f"README.md:{line}: a mark stands before a block of sh")
        shown = fences[1] if len(fences) > 1 and fences[1][1] in ("json", "text") else None
        yield line, mark["words"].split(), fences[0][2], shown and shown[1], shown and shown[2]


def values(text):
    """The JSON values that follow one another in a text."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def differences(shown, actual, path="$"):
    """Says where the output is not as shown."""
    if shown == ANY:
        return []
    if isinstance(shown, dict) and isinstance(actual, dict):
        found = []
        for key, value in shown.items():
            if key in actual:
                found += differences(value, actual[key], f"{path}.{key}")
            else:
                found.append(f"{path}.{key}: not there")
        return found
    if isinstance(shown, list) and isinstance(actual, list):
        is_open = bool(shown) and shown[-1] == ANY
        expected = shown[:-1] if is_open else shown
        if len(actual) < len(expected) or (len(actual) > len(expected) and not is_open):
            return [f"{path}: {len(actual)} elements, shown are {len(expected)}"]
        pairs = enumerate(zip(expected, actual))
        return [it for at, (a, b) in pairs for it in differences(a, b, f"{path}[{at}]")]
    return [] if shown == actual else [f"{path}: {actual!r}, shown is {shown!r}"]


def missing_lines(shown, actual):
    """Says which line is not there, after those before it."""
    # Columns are as wide as their contents: how many blanks part two words says nothing.
    plain = lambda text: [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    lines = iter(plain(actual))
    for line in plain(shown):
        pattern = ".*".join(re.escape(part) for part in line.split(ANY))
        if not any(re.fullmatch(pattern, candidate) for candidate in lines):
            return [f"no line like {line!r}"]
    return []


def compare(kind, shown, output):
    if kind == "json":
        try:
            actual = values(output)
        except ValueError as error:
            return [f"not JSON: {error}"]
        return differences(values(shown), actual)
    if kind == "text":
        return missing_lines(shown, output)
    return []


def picked(output, path):
    """The value at a path of the first JSON value printed."""
    value = values(output)[0]
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def run(shell, places, environment):
    for place, actual in places.items():
        shell = shell.replace(place, actual)
    try:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", shell],
            env=environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"tour: this takes more than {BLOCK_SECONDS} s:\n{shell}")


def attempt(words, shell, kind, shown, places, environment):
    """Runs a block, again if it may be; returns its output and what is wrong with it."""
    deadline = time.monotonic() + (RETRY_SECONDS if "retry" in words else 0)
    while True:
        done = run(shell, places, environment)
        # What an expected failure says is part of what it prints.
        output = done.stdout + (done.stderr if kind == "text" else "")
        if (done.returncode != 0) != ("fails" in words):
            wrong = [f"exit code {done.returncode}: {done.stderr.strip()}"]
        else:
            wrong = compare(kind, shown, output)
        if not wrong or time.monotonic() >= deadline:
            return output, wrong
        time.sleep(0.2)


def tour(readme, places, environment):
    """Runs every block; returns how many there were and how many were wrong."""
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    count, bad, called = 0, 0, ""
    for line, words, shell, kind, shown in blocks(text):
        count += 1
        called += shell
        output, wrong = attempt(words, shell, kind, shown, places, environment)
        first = next(filter(str.strip, shell.splitlines()), "").strip()
        print(f"{'FAIL' if wrong else 'ok  '} README.md:{line}: {first[:100]}")
        if wrong:
            bad += 1
            print("\n".join(f"       {it}" for it in wrong))
            print("       it printed:\n" + "".join(f"         {it}\n" for it in output.splitlines()))
            continue
        for word in words:
            name, _, path = word.partition("=")
            if path:
                environment[name] = str(picked(output, path))
    listed = subprocess.run(
        ["grpcurl", "-plaintext", places[GRPC], "list"], capture_output=True, text=True, check=True
    )
    for service in listed.stdout.split():
        if service.startswith("bursar.") and service not in called:
            bad += 1
            print(f"FAIL README.md: no call of {service}")
    return count, bad


def check_itself():
    """A comparison that finds nothing would pass every tour: shows it some differences first."""
    assert not differences({"a": ANY, "b": [1, ANY]}, {"a": [], "b": [1, 2, 3], "c": 0})
    for shown, actual in [({"a": 1}, {}), ([1], [1, 2]), ([1, 2, ANY], [1]), ({"a": "1"}, {"a": 1})]:
        assert differences(shown, actual), (shown, actual)
    assert compare("json", '{"a": 1}', "no json") and compare("json", "{} {}", "{}")
    assert not missing_lines("a …\nc\n", "a b\n  c\n") and missing_lines("c\na …", "a b\nc")


def main():
    check_itself()
    bursar = os.path.abspath(sys.argv[1])
    readme = sys.argv[2] if len(sys.argv) > 2 else "README.md"
    with tempfile.TemporaryDirectory(prefix="bursar-tour-") as folder, Server(bursar, folder) as server:
        environment = dict(os.environ, BURSAR_SERVER=server.grpc, TOUR=folder)
        environment["PATH"] = f"{os.path.dirname(bursar)}:{environment['PATH']}"
        count, bad = tour(readme, {GRPC: server.grpc, HTTP: server.http}, environment)
    print(f"\ntour: {count} blocks, {bad} wrong")
    sys.exit(1 if bad or not count else 0)


if __name__ == "__main__":
    main()
