"""How a conversation with a shell is written down: one text, its files as a tar stream in a here-document, the script as one quoted word.

All of it stands in braces: a shell that is cut off in the middle has read no command to its end, and does nothing.
"""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from base64 import encodebytes
from collections.abc import Iterable
from shlex import quote

from .transport import File

WORDS = 4000  # characters of standard error that are told

# What a conversation needs, said once: base64 where it is not spelled -d, or is not there at all; files that appear whole, by renames,
# so that a full disk or a cut spoils none that was there, and whoever reads an older one reads on.
PRELUDE = r"""
if [ "$(echo aGk= | base64 -d 2>/dev/null)" = hi ]; then hybridnb_64() { base64 -d; }
elif [ "$(echo aGk= | base64 -D 2>/dev/null)" = hi ]; then hybridnb_64() { base64 -D; }
elif [ "$(echo aGk= | openssl base64 -d 2>/dev/null)" = hi ]; then hybridnb_64() { openssl base64 -d; }
else hybridnb_64() { python3 -c 'import base64, sys; sys.stdout.buffer.write(base64.decodebytes(sys.stdin.buffer.read()))'; }; fi
hybridnb_move() (
  cd "$1" || exit
  for each in ./* ./.[!.]*; do
    [ ! -d "$each" ] || [ ! -d "$2/$each" ] || { hybridnb_move "$each" "$2/$each" && rmdir "$each"; } || exit
  done
  to=$2
  set -- ./*
  [ ! -e "$1" ] || mv -f "$@" "$to/" || exit
  set -- ./.[!.]*
  [ ! -e "$1" ] || mv -f "$@" "$to/"
)
hybridnb_put() {
  mkdir -p "$1/$2" && hybridnb_64 | gzip -dc | ( cd "$1/$2" && tar -xmf - ) && hybridnb_move "$1/$2" "$1"
  set -- "$1/$2" $?
  rm -rf "$1"
  return $2
}
"""

# Standard error goes into a variable, standard output past it by descriptor 3; a subshell, so that no script ends the shell.
# The here-documents stand outside: dash loses one in a command substitution whose output is redirected.
# bash keeps large ones in files: when there is no room for one, what it stands at is not run at all.
_FRAME = """{{ hybridnb_rc=0
{unpack}[ "$hybridnb_rc" -ne 0 ] || {{ hybridnb_rc=1 hybridnb_err={full}
{{ hybridnb_err=$( {{ {decode}( set -- {args}
eval {script}
) ; }} 2>&1 >&3 3>&- ); hybridnb_rc=$?; }} 3>&1 {stdin}
}}
printf '\\n%s %d\\n%.{words}s\\n%s.\\n' {mark} "$hybridnb_rc" "$hybridnb_err" {mark}
}}
"""

_UNPACK = """hybridnb_rc=1 hybridnb_err={full}
{{ hybridnb_err=$( {{ hybridnb_put {there} .{mark}; }} 2>&1 ); hybridnb_rc=$?; }} <<'{mark}'
{packed}{mark}
"""

_FULL = quote("the shell there has no room for what it is sent; is /tmp full?")


def mark() -> str:
    """Make a word that nobody can guess."""
    return f"hybridnb-{os.urandom(8).hex()}"


def words(args: Iterable[str]) -> str:
    """Write arguments as a shell reads them."""
    return " ".join(map(quote, args))


def line(script: str) -> bytes:
    """Write a script as the one line that LOADER reads."""
    return script.encode(errors="surrogateescape").replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n"


def frame(script: str, args: Iterable[str], *, mark: str, input: bytes | None = b"", files: Iterable[File] = ()) -> str:
    """Write what runs a script, with this input, or with None whatever comes after the frame.

    The answer is its output, then the mark, the exit code, standard error and the mark once more.
    """
    decode, stdin = ("", "") if input is None else _given(input, mark)
    parts = {"args": words(args), "script": quote(script), "words": WORDS, "mark": mark, "full": _FULL}
    return _FRAME.format(unpack=_unpack(files, mark), decode=decode, stdin=stdin, **parts)


def _given(input: bytes, mark: str) -> tuple[str, str]:
    """Write what decodes the input of a script, and what redirects it; the quoted mark keeps the shell from reading anything into it."""
    if not input:
        return "", "</dev/null"
    if input.isascii() and b"\0" not in input and input.endswith(b"\n"):
        return "", f"<<'{mark}'\n{input.decode()}{mark}"
    return "hybridnb_64 | ", f"<<'{mark}'\n{encodebytes(input).decode()}{mark}"  # a shell is no place for bytes that are no text


def _unpack(files: Iterable[File], mark: str) -> str:
    """Write what puts the files there."""
    chosen = list(files)
    if not chosen:
        return ""
    base = posixpath.commonpath([posixpath.dirname(file.path) for file in chosen])
    return _UNPACK.format(full=_FULL, there=quote(base), mark=mark, packed=encodebytes(_tar(chosen, base)).decode())


def _tar(files: Iterable[File], base: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1, format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            about = tarfile.TarInfo(posixpath.relpath(file.path, base))
            about.size, about.mode = len(file.text), file.mode
            tar.addfile(about, io.BytesIO(file.text))
    return packed.getvalue()
