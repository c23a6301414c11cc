"""curl against nginx: ranges, resumed and large transfers, conditions, uploads that are too big."""

import hashlib
import pathlib
import tempfile

from curl_command import curl
from report import BASE, main, pattern, scenario


@scenario
def small_file():
    return curl(f"{BASE}/small.txt")


@scenario
def head_of_a_large_file():
    return curl("-I", f"{BASE}/large.bin")


@scenario
def one_range():
    return curl("-r", "10-19", f"{BASE}/small.txt")


@scenario
def suffix_range():
    return curl("-r", "-5", f"{BASE}/small.txt")


@scenario
def range_not_satisfiable():
    return curl("-r", "5000-", f"{BASE}/small.txt")


@scenario
def not_modified():
    return [
        curl("-z", "2099-01-01", f"{BASE}/small.txt"),
        curl("-H", "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT", f"{BASE}/small.txt"),
    ]


@scenario
def resumed():
    """The first part, then -C - takes up where the file ends."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "large.bin")
        first = curl("-r", "0-9999999", f"{BASE}/large.bin", output=file)
        second = curl("-C", "-", f"{BASE}/large.bin", output=file)
        return [first, second, file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()]


@scenario
def large_download():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "large.bin")
        return [curl(f"{BASE}/large.bin", output=file), hashlib.sha256(file.read_bytes()).hexdigest()]


@scenario
def too_big_with_expect():
    return curl("-H", "Expect: 100-continue", "--expect100-timeout", "10", "--data-binary", "@-", f"{BASE}/small/x", data=pattern(5000))


@scenario
def too_big_without_expect():
    return curl("-H", "Expect:", "--data-binary", "@-", f"{BASE}/small/x", data=pattern(5000))


@scenario
def method_not_allowed():
    return curl("-d", "x", f"{BASE}/small.txt")


main()
