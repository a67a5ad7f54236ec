"""A stand-in for wsl.exe, so that launching can be tested without Windows; wsl.py lays out what it needs in the folder HNB_WSL.

After the source of WSL (WslClient.cpp, wslutil.h) and its issue tracker: what it says and where, UTF-16 unless asked, exit code -1, the
shell that reads words again without --exec (WSL#41598), the complaint about the folder (WSL#12705), launchers that can be killed while
what they launched goes on (WSL#2496). Not like Windows: exit codes of 8 bits (-1 is 255), consoles, localised texts, memory, speed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

MOUNTED = (
    "usr",
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "etc/alternatives",
)  # of this machine, where it has no link there
VARIABLES = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/wsl",
    "WSL_INTEROP": "/run/WSL/1_interop",
}
# Enters the distribution: $R its folder, $U whose account, the rest what runs there.
ENTER = """
for folder in $MOUNTED; do [ ! -d "/$folder" ] || [ -L "$R/$folder" ] || mount --bind "/$folder" "$R/$folder"; done
mount --bind "$C" "$R/mnt/c"
mount --rbind /proc "$R/proc"
mount --rbind /dev "$R/dev"
hostname winhost
exec chroot --userspec="$U" "$R" /usr/bin/env -i "$@"
"""


class Launcher:
    """wsl.exe itself."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.drive = folder, folder / ".c"
        told = os.environ.get("WSL_UTF8") == "1" and not (folder / ".old").exists()
        self.encoding = "utf-8" if told else "utf-16-le"  # without a mark

    def launch(self, words: list[str]) -> NoReturn:
        distro = user = ""
        while words and words[0].startswith("-") and words[0] not in ("--", "-e", "--exec"):
            match words[0]:
                case "-d" | "--distribution":
                    distro = self.find(words[1])
                case "-u" | "--user":
                    user = words[1]
                case "-l" | "--list":
                    self.answer()
                case unknown:
                    self.fail(f"Invalid command line argument: {unknown}")
            words = words[2:]
        distro = distro or self.default()
        if (failing := self.folder / ".failing").exists() and (code := failing.read_text()):
            self.fail("Es ist etwas passiert.", code)
        self.enter(self.folder / distro, user, words)

    def distros(self) -> list[str]:
        """Return the names, the default first."""
        names = sorted(path.name for path in self.folder.iterdir() if (path / "etc").is_dir())
        return sorted(names, key=lambda name: name != (self.folder / ".default").read_text()) if names else []

    def default(self) -> str:
        if names := self.distros():
            return names[0]
        return self.fail(
            "Windows Subsystem for Linux has no installed distributions.",
            "Wsl/Service/CreateInstance/WSL_E_DEFAULT_DISTRO_NOT_FOUND",
        )

    def find(self, wanted: str) -> str:
        for name in self.distros():
            if name.lower() == wanted.lower():
                return name
        return self.fail("There is no distribution with the supplied name.", "Wsl/Service/WSL_E_DISTRO_NOT_FOUND")

    def answer(self) -> NoReturn:
        if not (names := self.distros()):
            self.fail("Windows Subsystem for Linux has no installed distributions.")
        self.say("\n".join(names))
        raise SystemExit(0)

    def say(self, text: str) -> None:
        sys.stdout.buffer.write((text + "\n").replace("\n", "\r\n").encode(self.encoding))
        sys.stdout.buffer.flush()

    def fail(self, text: str, code: str = "") -> NoReturn:
        self.say(text + (f"\nError code: {code}" if code else ""))  # to standard output, as WSL does
        raise SystemExit(255)

    def enter(self, root: Path, chosen: str, words: list[str]) -> NoReturn:
        user = chosen or (root / "etc/default-user").read_text()
        accounts = {row[0]: row for row in (line.split(":") for line in (root / "etc/passwd").read_text().splitlines())}
        if user not in accounts:
            self.fail("User not found.", "Wsl/Service/CreateInstance/WSL_E_USER_NOT_FOUND")
        _, _, uid, gid, _, home, shell = accounts[user]
        line = subprocess.list2cmdline(words[1:])  # Windows hands one text over
        as_it_is = words[:1] in (["-e"], ["--exec"])
        command = split(line) if as_it_is else [shell, "-c", line]  # a shell reads it all again
        variables = {**VARIABLES, "HOME": home, "USER": user, "LOGNAME": user, "SHELL": shell, "WSL_DISTRO_NAME": root.name}
        inside = [*(f"{name}={value}" for name, value in variables.items()), "/bin/sh", "-c", 'cd "$0" 2>/dev/null; exec "$@"']
        self.relay([*inside, self.where(home), *command], root, f"{uid}:{gid}")

    def where(self, home: str) -> str:
        """Translate the folder that it was called in."""
        here = Path.cwd()
        if here.is_relative_to(self.drive):
            return str(Path("/mnt/c", here.relative_to(self.drive)))
        sys.stderr.write(f"<3>WSL (1 - Relay) ERROR: CreateProcessParseCommon:863: Failed to translate {here}\n")
        sys.stderr.flush()
        return home

    def relay(self, words: list[str], root: Path, owner: str) -> NoReturn:
        """Carry bytes between our standard streams and the program's, which leads a session of its own: our end is not its end."""
        become = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *become, "--mount", "--uts", "/bin/sh", "-ec", ENTER, "enter", *words]
        environment = {**os.environ, "R": str(root), "C": str(self.drive), "U": owner, "MOUNTED": " ".join(MOUNTED)}
        pipe = subprocess.PIPE
        program = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True)
        assert program.stdin
        assert program.stdout
        assert program.stderr
        threading.Thread(target=carry, args=(sys.stdin.buffer, program.stdin), daemon=True).start()
        outward = [(program.stdout, sys.stdout.buffer), (program.stderr, sys.stderr.buffer)]
        carriers = [threading.Thread(target=carry, args=each, daemon=True) for each in outward]
        for carrier in carriers:
            carrier.start()
        code = program.wait()
        for carrier in carriers:
            carrier.join(1)  # what the program has left behind may hold them
        os._exit(code if code >= 0 else 128 - code)


def carry(source: IO[bytes], target: IO[bytes]) -> None:
    with suppress(OSError):
        while piece := os.read(source.fileno(), 1 << 16):
            target.write(piece)
            target.flush()
    with suppress(OSError):
        target.close()


def split(line: str) -> list[str]:
    """Cut a command line as CommandLineToArgvW does: quotes group, a backslash counts before a quote only."""
    words, word, quoted, started = [], "", False, False
    for backslashes, quote, space, other in re.findall(r'(\\*)(?:(")|([ \t])|([^\\" \t]|$))', line):
        word += backslashes[: len(backslashes) // 2] if quote else backslashes
        if quote and len(backslashes) % 2:
            word += quote
        elif quote:
            quoted = not quoted
        elif space and not quoted:
            if started or word:
                words.append(word)
            word, started = "", False
            continue
        else:
            word += space + other
        started = started or bool(quote or word)
    return [*words, word] if started or word else words


if __name__ == "__main__":
    Launcher(Path(os.environ["HNB_WSL"])).launch(sys.argv[1:])
