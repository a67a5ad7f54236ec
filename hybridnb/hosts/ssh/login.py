"""The login on one machine: keys first, then what the machine asks a person."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import paramiko
from paramiko.auth_handler import AuthHandler

from ...errors import Refused, Unreachable
from .identity import agent, identities
from .wire import Ask, Wire

_ROUNDS = 5  # a machine that wants more proofs than that is not understood
_PATIENCE = 120.0  # seconds for its word after an answer: it may wait for a telephone
_ASKING = ("keyboard-interactive", "password")


class Login:
    """One try, which ends in a login or in an error that says what was tried."""

    def __init__(self, host: str, wire: Wire, ask: Ask) -> None:
        self.host, self.wire, self.user = host, wire, wire.hop.user
        self.ways: list[str] = []  # by what it succeeded
        self._ask = ask
        self._tried: list[str] = []
        self._used: set[object] = set()
        self._asked = False
        self._said: list[str] = []
        self._since = 0.0

    def run(self) -> None:
        """Log in; raise Refused when a person has to do something."""
        allowed = self._try("none", lambda: self.wire.auth_none(self.user)) or []
        for _ in range(_ROUNDS):
            if self.wire.is_authenticated():
                return
            further = self._by_key() if "publickey" in allowed else None
            further = self._by_words(allowed) if further is None else further
            if further is None:
                break
            allowed = further
        if not self.wire.is_authenticated():
            raise self._refused(allowed)

    def _try(self, way: str, request: Callable[[], Sequence[str]]) -> list[str] | None:
        """Return what is wanted further: [] for nothing, None for another way than this."""
        try:
            further = request()
        except paramiko.BadAuthenticationType as error:
            if way == "none":
                return list(error.allowed_types)
            self._tried.append(way)
            return None
        except paramiko.SSHException as error:
            if not self.wire.is_active() or "timeout" in str(error):
                raise self._hung_up(error) from error
            self._tried.append(way)
            return None
        if way != "none":
            self.ways.append(way)
        return list(further)

    def _by_key(self) -> list[str] | None:
        """Try the user's keys."""
        keeper = agent(self.wire.hop)
        try:
            for which, name, load in identities(self.wire.hop, keeper, self._about):
                if which in self._used:
                    continue
                self._used.add(which)
                if not (key := load()):
                    self._tried.append(f"{name} (it could not be opened)")
                    continue
                further = self._try(name, lambda key=key: self.wire.auth_publickey(self.user, key))  # type: ignore[misc]
                if further is not None:
                    return further
        finally:
            if keeper:
                keeper.close()  # type: ignore[attr-defined]
        return None

    def _by_words(self, allowed: Sequence[str]) -> list[str] | None:
        """Let the machine ask a person; once, since a wrong answer counts there as an attack."""
        for way, request in zip(_ASKING, (self._converse, self._give_password)):
            if way in allowed and way not in self._used:
                further = self._try(way, request)
                if further is not None or self._asked:
                    return further
                self._used.add(way)
        return None

    def _give_password(self) -> Sequence[str]:
        self._asked = True
        secret = self._about(f"{self.user}@{self.wire.hop.address}'s password:")
        return self.wire.auth_password(self.user, secret, fallback=False)

    def _converse(self) -> Sequence[str]:
        """Relay its prompts. paramiko has one limit of time for the whole conversation, but a person may take longer."""
        done = threading.Event()
        self._since = time.monotonic()
        self.wire.auth_handler = auth = AuthHandler(self.wire)
        auth.auth_interactive(self.user, self._relay, done, "")
        while not done.wait(0.1) and self.wire.is_active():
            if time.monotonic() - self._since > _PATIENCE:
                raise Unreachable(f"host '{self.host}': {self.wire.hop} said nothing more during the login")
        return list(auth.wait_for_response(done))

    def _relay(self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        self._said += [text for text in (title, instructions) if text.strip()]
        self._since = float("inf")
        answers = [self._about(f"({self.user}@{self.wire.hop.name}) {prompt}", hidden=not echo) for prompt, echo in prompts]
        self._asked = self._asked or bool(prompts)
        self._since = time.monotonic()
        return answers

    def _about(self, text: str, *, hidden: bool = True) -> str:
        """Ask a person, with what the machine said before."""
        said, self._said = "\n".join([*self._said, text]), []
        return self._ask("".join(c for c in said if c.isprintable() or c == "\n"), hidden=hidden)

    def _hung_up(self, error: Exception) -> Refused | Unreachable:
        """Tell a machine that had enough from one that was lost."""
        where = f"host '{self.host}': {self.wire.hop}"
        said = self.wire.farewell or (str(error) if "pubkey algorithm" in str(error) or "Illegal" in str(error) else "")
        if said:
            return Refused(
                f"{where} ended the login ({said}). Tried: {self._list()}. Name the right key by 'identity' in hosts.yaml, "
                f"or see what 'ssh {self.wire.hop.name}' says"
            )
        late = ", perhaps since the answer took longer than it waits" if self._asked else ""
        return Unreachable(f"{where} hung up during the login{late}")

    def _refused(self, allowed: Sequence[str]) -> Refused:
        wants = f"; it wants {' or '.join(allowed)}" if allowed else ""
        mend = (
            "An answer was wrong, or the account may not log in there"
            if self._asked
            else "Correct user or identity in hosts.yaml or ~/.ssh/config, or add the key there ('ssh-copy-id')"
        )
        return Refused(
            f"host '{self.host}': {self.wire.hop} did not accept the login{wants}. Tried: {self._list()}. {mend}, "
            f"then 'hybridnb hosts check {self.host}'"
        )

    def _list(self) -> str:
        return ", ".join(self._tried) or "nothing, since no key was found"
