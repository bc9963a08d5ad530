"""What callers may get, and what the store may do: looked at each time it happens."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from simulate import product
from simulate.ledger import Ledger
from simulate.network import OF_ISSUERS, READS
from simulate.state import NEVER, NodeState, Rejected, World

from mintonce_server.core.broker import Served
from mintonce_server.core.errors import IssuerError, MintonceError, Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Token

SLACK: Final = 1.0
"""Seconds for a question to the store that is under way when a bound ends."""
TROUBLE_LASTS: Final = 20.0
"""Seconds for which an error may follow from a trouble: a mint's deadline and a lease."""
LONGEST_BACK_OFF: Final = 60.0
COINCIDENCE: Final = 10
"""Lone mints among which two may have the same number."""


class Seen(NamedTuple):
    """What the server held of a key before a command."""

    kept: product.Kept | None
    lease: product.Leased | None
    barrier: int


class Asked(Protocol):
    """A call that failed."""

    key: TokenKey
    what: str
    began: float
    deadline: float
    named: int | bytes


@dataclass
class Laws:
    """H3 to H6, H15 and H16, and that each error has a cause."""

    world: World
    ledger: Ledger
    view: product.ServerView
    keys: dict[str, TokenKey]
    least_interval: float = 30.0
    texts: dict[tuple[TokenKey, int], str] = field(default_factory=dict[tuple[TokenKey, int], str])
    named_at: dict[tuple[TokenKey, int], float] = field(default_factory=dict[tuple[TokenKey, int], float])
    generations: dict[str, int] = field(default_factory=dict[str, int])
    last_rejection: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])
    highest_bar: dict[TokenKey, int] = field(default_factory=dict[TokenKey, int])
    given: set[tuple[TokenKey, int]] = field(default_factory=set[tuple[TokenKey, int]])
    given_last: dict[TokenKey, int] = field(default_factory=dict[TokenKey, int])
    over: dict[tuple[TokenKey, int], float] = field(default_factory=dict[tuple[TokenKey, int], float])
    numbered: set[tuple[TokenKey, int]] = field(default_factory=set[tuple[TokenKey, int]])
    coincidences: set[tuple[TokenKey, int]] = field(default_factory=set[tuple[TokenKey, int]])
    told: dict[TokenKey, list[Rejected]] = field(default_factory=dict[TokenKey, list[Rejected]])

    def served(self, node: NodeState, key: TokenKey, served: Served, began: float) -> None:
        """A caller has this answer now to a question of then."""
        world, token = self.world, served.token
        text = token.access_token.reveal()
        issued = world.issuer.issued.get(text)
        if issued is None or issued.key != key or token.key != key:
            world.broken("H4", f"node {node.index} served {text!r} for {key.audience}, but it is of {issued}")
            return
        if world.now >= issued.ends + world.stepped(issued.at):
            late = world.now - issued.ends
            world.broken("H5", f"node {node.index} served {text} {late:.3f} s past its end")
        self._name(key, token.generation, text, f"node {node.index}")
        self._not_rejected(node, token, text, began)
        self._not_over(node, key, token.generation, began)
        if token.credential_version < node.version:
            self.world.broken("credentials", f"node {node.index} has newer ones than {text} was minted with")
        node.held[key] = issued
        mark = " degraded" if served.degraded else ""
        world.trace("served", node.index, key.audience, text, token.generation, served.origin, mark)

    def _name(self, key: TokenKey, generation: int, text: str, where: str) -> None:
        known, since = (
            self.texts.setdefault((key, generation), text),
            self.named_at.setdefault((key, generation), self.ledger.generations.get((key, generation), self.world.now)),
        )
        self.generations[text] = generation
        if known != text:
            self.world.doubled.add(key)
        if where == "in the store":
            self.numbered.add((key, generation))
        if (
            known != text
            and not self.world.may_come_again(key, generation, since)
            and not self._by_chance(key, generation)
        ):
            self.world.broken("H3", f"generation {generation} is {known} and {text} ({where})")

    def _by_chance(self, key: TokenKey, generation: int) -> bool:
        """Whether two lone mints drew this number: out of a thousand at least, so among many there are some."""
        if (key, generation) in self.numbered:
            return False
        self.coincidences.add((key, generation))
        alone = sum(entry.lone for chain in self.ledger.entries.values() for entry in chain)
        return COINCIDENCE * len(self.coincidences) <= alone

    def _not_rejected(self, node: NodeState, token: Token, text: str, began: float) -> None:
        boot = (node.index, node.booted_at)
        for rejected in self.told.get(token.key, ()):
            here = rejected.told.get(boot)
            same = rejected.text == text
            if same and self.world.got.get(text, NEVER) > rejected.at:
                continue  # the issuer stands by it: it has handed it out again
            if same and token.generation > rejected.generation and self.world.lost_at(token.key) >= rejected.at:
                continue  # minted alone, and numbered again by a store that lost the rejection
            if same and here is None and token.generation > rejected.generation and text in self.world.repeated:
                continue  # rejected by a number alone, and given out under another one before that
            if here is not None and began >= here and (same or token.generation <= rejected.generation):
                what = text if same else f"{text} of generation {token.generation}"
                self.world.broken(
                    "H6", f"node {node.index} served {what} after it took the rejection of {rejected.text}"
                )
            elif same and here is None and self._must_know(node, rejected, began):
                self.world.broken("H6", f"node {node.index} served {text}, rejected elsewhere at {rejected.at:.3f}")

    def _must_know(self, node: NodeState, rejected: Rejected, began: float) -> bool:
        bound = rejected.at + product.Settings().revalidate_within + SLACK
        lost = self.world.lost_at(self.world.issuer.issued[rejected.text].key) >= rejected.at
        return began > bound and not lost and not node.store_failed >= began - bound + rejected.at

    def named(self, key: TokenKey, named: int | bytes, by_sha: dict[bytes, str]) -> None:
        """A caller rejects this token: if it ever was, replicas may bar all up to it from now on."""
        text = self.texts.get((key, named)) if isinstance(named, int) else by_sha.get(named)
        if text is None and (key, named) in self.given:
            self.highest_bar[key] = max(self.highest_bar.get(key, 0), named if isinstance(named, int) else 0)
        if text is not None:
            # Rejected under the provisional number that it was served as, it is barred under the store's.
            generation = max(named if isinstance(named, int) else 0, self.generations[text])
            self.highest_bar[key] = max(self.highest_bar.get(key, 0), generation)

    def acknowledged(self, node: NodeState, key: TokenKey, named: int | bytes, sha: dict[bytes, str]) -> None:
        """A replica said of this generation, or of the token with this SHA-256, that it was current and is rejected."""
        text = self.texts.get((key, named)) if isinstance(named, int) else sha.get(named)
        if text is None:
            if (key, named) not in self.given:
                self.world.broken("H16", f"node {node.index} took a rejection of {named!r}, which never was")
            return
        rejected = self.world.rejected.get(text)
        if rejected is None:
            rejected = self._reject(key, text, self.generations[text])
        rejected.told.setdefault((node.index, node.booted_at), self.world.now)

    def not_current(self, key: TokenKey, named: int | bytes) -> None:
        """A replica said so of the number that was given out last: then it is served no more, once all have heard."""
        if isinstance(named, int) and self.given_last.get(key) == named:
            self.over.setdefault((key, named), self.world.now)

    def _not_over(self, node: NodeState, key: TokenKey, generation: int, began: float) -> None:
        said = self.over.get((key, generation))
        if said is None:
            return
        bound = said + product.Settings().revalidate_within + SLACK
        if began > bound and self.world.lost_at(key) < said and not node.troubled(said):
            self.world.broken("H6", f"node {node.index} served {generation}, which was not current at {said:.3f}")

    def _reject(self, key: TokenKey, text: str, generation: int) -> Rejected:
        rejected = self.world.rejected[text] = Rejected(text, self.world.now, generation)
        self.told.setdefault(key, []).append(rejected)
        return rejected

    def failed(self, node: NodeState, asked: Asked, error: MintonceError) -> None:
        """A call ended with a typed error: it must have a cause."""
        self.world.trace("failed", node.index, asked.what, error.reason)
        if not self._has_cause(node, asked, error):
            self.world.broken("no cause", f"node {node.index}: {asked.what} failed with {error.reason} ({error})")

    def _has_cause(self, node: NodeState, asked: Asked, error: MintonceError) -> bool:
        world, began = self.world, asked.began
        if isinstance(error, IssuerError):
            return world.issuer_failed + LONGEST_BACK_OFF + world.longest_retry >= began or node.troubled(began)
        match error.reason:
            case Reason.STORE_UNAVAILABLE:
                return node.troubled(began - SLACK) or world.credentials_differ
            case Reason.WAIT_TIMED_OUT:
                # Tokens that are too short to share count as the issuer's trouble: not everybody gets one in time.
                issuing = world.issuer_failed >= began - TROUBLE_LASTS
                return asked.deadline < 5.0 or issuing or not world.quiet_since(began - TROUBLE_LASTS)
            case Reason.ROTATION_TOO_SOON:
                return max(self.last_rejection.values(), default=NEVER) + 61.0 >= began or world.store_stepped > 0
            case Reason.DRAINING:
                return True
            case Reason.INVALID_REQUEST:
                return not self._is_known(asked, node)
            case _:
                return False

    def _is_known(self, asked: Asked, node: NodeState) -> bool:
        """Whether the store has the token of the generation that was named, as far as this replica can see."""
        if not isinstance(asked.named, int) or node.troubled(asked.began - SLACK):
            return False
        text = self.texts.get((asked.key, asked.named))
        if text in self.world.repeated:
            return False  # it has another number each time that it came
        lost = self.world.lost_at(asked.key) >= asked.began - TROUBLE_LASTS
        return text is not None and not lost and self.world.stored.get(asked.key) == text

    def before(self, command: "partial[Any]", node: int) -> Seen | None:
        """The server is about to do this."""
        if command.func.__name__ in READS | OF_ISSUERS:
            return None
        name = command.args[0]
        return Seen(self.view.kept(name), self.view.lease(name), self.view.barrier(name))

    def after(self, seen: Seen | None, command: "partial[Any]", node: int, answer: object) -> None:
        """It has done it."""
        name = command.func.__name__
        if seen is None:
            return
        self.world.trace("store", name, node, type(answer).__name__, answer if isinstance(answer, int) else "")
        if text := product.refused_text(command, answer):
            self.ledger.refused(text, str(answer))
            if answer != "OLD_CREDENTIALS":
                self._forgets(node, text)
        kept, key = self.view.kept(command.args[0]), self.keys[command.args[0]]
        if kept != seen.kept:
            self._changed(key, seen.kept, kept, command)
        elif name == "reject" and self.view.barrier(command.args[0]) > seen.barrier:
            self._barred(key, command)
        if lease := product.granted(answer):
            self.given.add((key, lease))
            self.given_last[key] = lease
        self._lease(seen, self.view.lease(command.args[0]), command, answer)
        if moment := product.moment(command, answer):
            self.world.moment(moment, node)

    def _forgets(self, node: int, text: str) -> None:
        """A replica gives up what was rejected, or overtaken."""
        held = self.world.nodes[node].held
        for key in [key for key, issued in held.items() if issued.text == text]:
            del held[key]

    def _lease(self, seen: Seen, lease: product.Leased | None, command: "partial[Any]", answer: object) -> None:
        """A lease ends with its own commit or failure, or with a rejection, and is found again by its nonce."""
        name, held = command.func.__name__, seen.lease
        if held is None:
            return
        asked = product.Leased(command.keywords.get("nonce", held.nonce), product.generation_of(command))
        if name == "commit" and lease == held and asked.generation == held.generation:
            self.world.broken("H14", f"the lease of generation {held.generation} is held after its commit")
        elif name == "acquire" and asked.nonce == held.nonce and product.is_wait(answer):
            self.world.broken("H14", "who lost the answer waits for its own lease")
        elif lease != held and name not in ("reject", "barrier") and asked != held:
            self.world.broken("H14", f"{name} of {asked} ended the lease {held}")

    def _changed(
        self, key: TokenKey, seen: product.Kept | None, kept: product.Kept | None, command: "partial[Any]"
    ) -> None:
        if kept is not None:
            self.world.stored[key] = kept.text
            self.world.first_stored.setdefault(kept.text, self.world.now)
            self._name(key, kept.generation, kept.text, "in the store")
            if seen and kept.generation <= seen.generation:
                self.world.broken("H3", f"the store went from generation {seen.generation} to {kept.generation}")
            if seen and kept.version < seen.version:
                self.world.broken("credentials", f"a token of version {kept.version} replaced one of {seen.version}")
            self.ledger.stored(key, kept)
            return
        self.world.stored.pop(key, None)
        assert seen
        self._dropped(key, seen, command)

    def _is_ahead(self, key: TokenKey, command: "partial[Any]", generation: int) -> bool:
        """Whether this names what was given out after that generation, and is not in the store."""
        named = product.generation_of(command)
        return command.func.__name__ == "reject" and named > generation and (key, named) in self.given

    def _barred(self, key: TokenKey, command: "partial[Any]") -> None:
        """A rejection barred what is not in the store."""
        if not self._is_ahead(key, command, 0):
            self.world.broken("H16", f"a rejection of {product.generation_of(command)}, which never was, counted")
        self._spaced(key, command)
        text = self.texts.get((key, product.generation_of(command)))
        if text is not None and text not in self.world.rejected:
            self._reject(key, text, product.generation_of(command))

    def _spaced(self, key: TokenKey, command: "partial[Any]") -> None:
        """A rejection counted, which may cost a mint."""
        world, now, last = self.world, self.world.now, self.last_rejection.get(key, NEVER)
        free = max(world.lost_at(key), world.store_stepped) >= last
        if now - last < self.least_interval - 0.1 and not free:
            world.broken("H16", f"{key.audience}: a rejection counted {now - last:.3f} s after the last one")
        self.last_rejection[key] = now
        self.highest_bar[key] = max(self.highest_bar.get(key, 0), self.view.barrier(command.args[0]))
        self.ledger.doom(key, "rejected meanwhile")

    def _dropped(self, key: TokenKey, seen: product.Kept, command: "partial[Any]") -> None:
        world, now = self.world, self.world.now
        raised = product.raises_barrier(command)
        aimed = product.rejects(command, seen) or self._is_ahead(key, command, seen.generation)
        known = raised <= self.highest_bar.get(key, 0) or product.names_text(command, seen.text)
        if not known or not (raised >= seen.generation or aimed):
            world.broken(
                "H16", f"generation {seen.generation} was dropped by {command.func.__name__} {command.keywords}"
            )
            return
        world.dropped[key] = now
        self.highest_bar[key] = max(self.highest_bar.get(key, 0), seen.generation)
        self._spaced(key, command)
        if rejected := world.rejected.get(seen.text):
            # A barrier that is raised again says nothing new.
            if not raised:
                rejected.at = now
                rejected.told.clear()
        else:
            self._reject(key, seen.text, seen.generation)
