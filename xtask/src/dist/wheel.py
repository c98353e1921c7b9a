"""Writes a wheel from the JSON object on standard input, and prints its path.

The same files make the same bytes: the times are fixed, and the order is that of the names.
Source of the format: the binary distribution format in the Python Packaging User Guide.
"""
import base64
import hashlib
import json
import os
import sys
import zipfile

TIME = (1980, 1, 1, 0, 0, 0)


def main():
    wheel = json.load(sys.stdin)
    name = f"{wheel['name'].replace('-', '_')}-{wheel['version']}"
    info, data = f"{name}.dist-info", f"{name}.data"
    files = {
        f"{info}/METADATA": (metadata(wheel).encode(), 0o644),
        f"{info}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: cargo xtask dist\nRoot-Is-Purelib: false\nTag: {wheel['tag']}\n".encode(),
            0o644,
        ),
    }
    for file in wheel["files"]:
        if "text" in file:
            content = file["text"].encode()
        else:
            with open(file["path"], "rb") as opened:
                content = opened.read()
        files[f"{data}/{file['name']}"] = (content, 0o755 if file["executable"] else 0o644)
    record = f"{info}/RECORD"
    lines = [f"{name},sha256={digest(content)},{len(content)}" for name, (content, _) in sorted(files.items())]
    files[record] = ("\n".join([*lines, f"{record},,", ""]).encode(), 0o644)
    path = os.path.join(wheel["folder"], f"{name}-{wheel['tag']}.whl")
    with zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = zipfile.ZipInfo(name, TIME)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    os.replace(path + ".new", path)
    print(path, end="")


def metadata(wheel):
    headers = [
        "Metadata-Version: 2.4",
        f"Name: {wheel['name']}",
        f"Version: {wheel['version']}",
        f"Summary: {wheel['summary']}",
        f"License-Expression: {wheel['license']}",
        f"Requires-Python: >={wheel['python']}",
        "Description-Content-Type: text/markdown",
        *(f"Requires-Dist: {requirement}" for requirement in wheel["requirements"]),
    ]
    return "\n".join(headers) + "\n\n" + wheel["description"]


def digest(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


main()
