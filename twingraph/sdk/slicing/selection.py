"""Which statements of which modules a target needs: a walk from the target over the names that it uses."""

from __future__ import annotations

import builtins
import sys
from collections import deque
from dataclasses import field

from twingraph.core.recordclass import recordclass
from twingraph.sdk.slicing.locality import Place, find_local
from twingraph.sdk.slicing.runs import refuse_run
from twingraph.sdk.slicing.scopes import Facts
from twingraph.sdk.slicing.sources import Source, source_of
from twingraph.sdk.slicing.statements import ModuleFacts, Statement, read_module
from twingraph.sdk.slicing.syntax import Chain, ImportRef

Definition = tuple[str, str]  # module, name


class CannotSliceError(Exception):
    """Kept code does something that no pruned module can serve; `note` says what and where."""

    def __init__(self, note: str, source: Source, line: int) -> None:
        super().__init__(note)
        self.note = f"{source.file}:{line}: {note}"
        self.file, self.line = source.file, line


@recordclass(frozen=False, kw_only=False)
class Kept:
    """What is kept of one module."""

    facts: ModuleFacts
    statements: set[int] = field(default_factory=set)
    aliases: dict[int, set[ImportRef]] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)


class Selection:
    """Grows until nothing that is kept uses anything that is not."""

    def __init__(self, *, by_line: bool, keep_ours: bool = False) -> None:
        self.by_line, self.keep_ours = by_line, keep_ours
        self.modules: dict[str, Kept] = {}
        self.external: set[str] = set()
        self.search: dict[str, tuple[str, ...]] = {}
        self.reads_file = False
        self._queue: deque[tuple[str, str, Chain | None]] = deque()
        self._seen: set[tuple[str, str, Chain | None]] = set()
        self._required: set[Definition] = set()
        self._mutators: dict[Definition, list[tuple[str, Statement]]] = {}
        self._scanned: set[str] = set()
        self._importers: dict[str, tuple[str, Statement, ImportRef]] = {}
        self._whole: set[str] = set()

    def add_source(self, source: Source) -> Kept:
        kept = self.modules.get(source.name)
        if kept is None:
            kept = self.modules[source.name] = Kept(read_module(source, keep_ours=self.keep_ours))
            for statement in kept.facts.statements:
                if statement.future:
                    self._keep(kept, statement)
            self._scan(kept.facts)
        return kept

    def require(self, module: str, name: str, chain: Chain | None = None) -> None:
        """`chain` is the attributes taken from the name; None asks only that it exist."""
        key = (module, name, chain)
        if key not in self._seen:
            self._seen.add(key)
            self._queue.append(key)

    def run(self) -> None:
        while self._queue:
            self._serve(*self._queue.popleft())

    # modules

    def facts_of(self, name: str) -> ModuleFacts | None:
        kept = self.modules.get(name)
        if kept is not None:
            return kept.facts
        source = source_of(name)
        return read_module(source, keep_ours=self.keep_ours) if source is not None else None

    def _touch(self, name: str) -> Kept | None:
        """A local module is imported: it and its parents exist, though perhaps empty."""
        if name in self.modules:
            return self.modules[name]
        place = find_local(name)
        if place is None:
            self._note_external(name)
            return None
        if place.compiled:
            self._note_compiled(place)
            return None
        source = source_of(name)
        return self.add_source(source) if source is not None else None

    def _note_external(self, name: str) -> None:
        top = name.partition(".")[0]
        if top and top not in sys.stdlib_module_names:
            self.external.add(top)

    def _note_compiled(self, place: Place) -> None:
        parent = place.name.rpartition(".")[0]
        found = find_local(parent) if parent else None
        if found is not None:
            self.search[parent] = found.search
        self.external.add(place.name.partition(".")[0])

    def _is_module(self, name: str) -> bool:
        return name in self.modules or find_local(name) is not None

    # the walk

    def _serve(self, module: str, name: str, chain: Chain | None) -> None:
        kept = self.modules.get(module)
        if kept is None:
            return
        facts = kept.facts
        if name == "__file__":
            self.reads_file = True
        if name not in kept.names:
            kept.names[name] = None
            self._required.add((module, name))
            self._keep_name(kept, module, name)
        if chain is None:
            return
        for ref in facts.imports_of.get(name, ()):
            self._follow(ref, chain)

    def _keep_name(self, kept: Kept, module: str, name: str) -> None:
        facts = kept.facts
        binders = facts.binders.get(name, [])
        if not binders and facts.source.package and self._is_module(f"{module}.{name}"):
            self._touch(f"{module}.{name}")
        elif not binders and "__getattr__" in facts.binders and not name.startswith("__"):
            self.require(module, "__getattr__", ())
        elif not binders:
            self._keep_stars(kept, name)
        for statement in binders:
            self._keep(kept, statement, name)
        for owner, statement in self._mutators.get((module, name), ()):
            self._keep_mutator(owner, statement)

    def _keep_stars(self, kept: Kept, name: str) -> None:
        """A name that nothing binds may come from `from module import *`, also one that hides a builtin."""
        if name.startswith("__"):
            return
        for statement in kept.facts.statements:
            for ref in statement.refs:
                if ref.name == "*" and (not hasattr(builtins, name) or hasattr(sys.modules.get(ref.module), name)):
                    self._keep(kept, statement)

    def _keep(self, kept: Kept, statement: Statement, name: str | None = None) -> None:
        if statement.refs:
            chosen = kept.aliases.setdefault(statement.index, set())
            before = len(chosen)
            for ref in statement.refs:
                if (name is None or self.by_line or ref.bound == name) and ref not in chosen:
                    chosen.add(ref)
                    kept.statements.add(statement.index)
                    self._import(kept, ref)
            if self.by_line and len(chosen) > before:  # two imports on one line ask for each other
                self._keep_line(kept, statement)
            return
        if statement.index in kept.statements:
            return
        kept.statements.add(statement.index)
        facts = statement.facts
        if facts.dynamic:
            line, note = facts.dynamic[0]
            raise CannotSliceError(note, kept.facts.source, line)
        refuse_run(kept.facts, statement)
        for bound in sorted(facts.binds):
            self.require(kept.facts.source.name, bound, None)
        self.use(kept, facts)
        if self.by_line:
            self._keep_line(kept, statement)

    def use(self, kept: Kept, facts: Facts) -> None:
        """Everything that a kept piece of code uses is kept too."""
        for used, chain in facts.uses:
            self.require(kept.facts.source.name, used, chain)
        for ref in facts.imports:
            self._import(kept, ref)
        for ref, chain in facts.import_uses:
            self._follow(ref, chain)

    def _keep_line(self, kept: Kept, statement: Statement) -> None:
        for other in kept.facts.units[statement.index]:
            if other is not statement:
                self._keep(kept, other)

    def _import(self, kept: Kept, ref: ImportRef) -> None:
        """An import statement runs: what it names must exist."""
        if ref.name is None:
            parts = ref.module.split(".")
            for count in range(1, len(parts) + 1):
                self._touch(".".join(parts[:count]))
            return
        if ref.name == "*":
            if find_local(ref.module) is not None:
                raise CannotSliceError(f"it imports * from {ref.module}", kept.facts.source, ref.line)
            self._touch(ref.module)
            return
        if self._touch(ref.module) is not None and not self._names_submodule(ref):
            self.require(ref.module, ref.name, None)
        elif self._is_module(f"{ref.module}.{ref.name}"):
            self._touch(f"{ref.module}.{ref.name}")

    def _names_submodule(self, ref: ImportRef) -> bool:
        facts = self.facts_of(ref.module)
        bound = facts is not None and ref.name in facts.binders
        return not bound and self._is_module(f"{ref.module}.{ref.name}")

    def _follow(self, ref: ImportRef, chain: Chain) -> None:
        """A name bound by an import is used, with these attributes taken from it."""
        found = self._resolve(ref, chain)
        if found is None:
            return
        module, rest = found
        if rest:
            self.require(module, rest[0], rest[1:])
        else:
            self.take_whole(module)

    def _resolve(self, ref: ImportRef, chain: Chain) -> tuple[str, Chain] | None:
        """The local module that an expression reaches, and the attributes left; None when it is not local."""
        if ref.name is None:
            module, rest = ref.root, chain
        elif ref.name == "*":
            return None
        elif self._names_submodule(ref):
            module, rest = f"{ref.module}.{ref.name}", chain
        else:
            module, rest = ref.module, (ref.name, *chain)
        if not self._is_module(module):
            return None
        while rest and not self._binds(module, rest[0]) and self._is_module(f"{module}.{rest[0]}"):
            module, rest = f"{module}.{rest[0]}", rest[1:]
        return module, rest

    def _binds(self, module: str, name: str) -> bool:
        facts = self.facts_of(module)
        return facts is not None and name in facts.binders

    def take_whole(self, module: str) -> None:
        kept = self._touch(module)
        if kept is None or module in self._whole:
            return
        self._whole.add(module)
        for statement in kept.facts.statements:
            if not statement.runs_ours:
                self._keep(kept, statement)
        for name in kept.facts.binders:
            self.require(module, name, None)

    # changes in place

    def _scan(self, facts: ModuleFacts) -> None:
        """Note which definitions the module's statements change; modules that it imports may change them too."""
        module = facts.source.name
        if module in self._scanned:
            return
        self._scanned.add(module)
        for statement in facts.statements:
            if statement.runs_ours:
                continue
            for definition in sorted(self._changed_by(facts, statement)):
                self._mutators.setdefault(definition, []).append((module, statement))
                if definition in self._required:
                    self._keep_mutator(module, statement)
        for statement in facts.statements:
            for ref in statement.refs:
                for name in (ref.module, f"{ref.module}.{ref.name}" if ref.name else None):
                    if name is None or name in self._scanned or find_local(name) is None:
                        continue
                    self._importers.setdefault(name, (module, statement, ref))
                    inner = self.facts_of(name)
                    if inner is not None:
                        self._scan(inner)

    def _keep_mutator(self, module: str, statement: Statement) -> None:
        """Keep it, and the imports through which its module is reached."""
        kept = self._touch(module)
        if kept is None:
            return
        self._keep(kept, statement)
        importer = self._importers.get(module)
        while importer is not None:
            owner, import_statement, ref = importer
            reached = self._touch(owner)
            if reached is not None:
                self._keep(reached, import_statement, ref.bound)
            following = self._importers.get(owner)
            importer = following if following != importer and owner not in self.modules else None

    def _changed_by(self, facts: ModuleFacts, statement: Statement) -> set[Definition]:
        roots: set[tuple[str, Chain]] = set()
        for root in statement.facts.mutates:
            if root not in statement.facts.own_only or self._is_own(facts, root[0]):
                roots.add(root)
        for called, chain in statement.facts.calls:
            if not chain:
                roots.update(self._effects(facts, called))
        for called, given in statement.facts.passed:
            if self._is_own(facts, called):
                roots.add((given, ()))
        roots.update(self._registrations(facts, statement))
        changed: set[Definition] = set()
        for name, chain in self._with_aliases(facts, roots):
            changed.update(self._definitions(facts, name, chain))
        return {found for found in changed if found[1] not in statement.facts.binds or found[0] != facts.source.name}

    def _is_own(self, facts: ModuleFacts, name: str) -> bool:
        """Defined in the project, not taken from an installed library."""
        refs = facts.imports_of.get(name)
        return name in facts.binders and (not refs or any(self._is_module(ref.module) for ref in refs))

    def _effects(self, facts: ModuleFacts, name: str) -> set[tuple[str, Chain]]:
        """What calling a project function changes; names of other modules are given as (module:, name)."""
        if not facts.imports_of.get(name):
            return facts.effects(name)[0]
        found: set[tuple[str, Chain]] = set()
        for module, defined in self._definitions(facts, name, ()):
            other = self.facts_of(module)
            if other is not None and module != facts.source.name:
                for changed, chain in other.effects(defined)[0]:
                    found.update((f"{owner}:", (final,)) for owner, final in self._definitions(other, changed, chain))
        return found

    def _registrations(self, facts: ModuleFacts, statement: Statement) -> set[tuple[str, Chain]]:
        """A subclass changes a project base that keeps book of its subclasses."""
        found: set[tuple[str, Chain]] = set()
        for name, chain in statement.facts.bases:
            pending, seen = list(self._definitions(facts, name, chain)), set()
            while pending:
                definition = pending.pop()
                if definition in seen:
                    continue
                seen.add(definition)
                owner = self.facts_of(definition[0])
                for binder in owner.binders.get(definition[1], ()) if owner is not None else ():
                    assert owner is not None
                    if _keeps_book(binder, owner):
                        found.update((f"{module}:", (name,)) for module, name in seen)
                        for changed, rest in binder.facts.lazy_mutates:
                            for module, final in self._definitions(owner, changed, rest):
                                found.add((f"{module}:", (final,)))
                    for base, rest in binder.facts.bases:
                        pending.extend(self._definitions(owner, base, rest))
        return found

    def _with_aliases(self, facts: ModuleFacts, roots: set[tuple[str, Chain]]) -> set[tuple[str, Chain]]:
        pending, seen = list(roots), set(roots)
        while pending:
            name, _ = pending.pop()
            for other in facts.alias_roots.get(name, ()):
                if (other, ()) not in seen:
                    seen.add((other, ()))
                    pending.append((other, ()))
        return seen

    def _definitions(self, facts: ModuleFacts, name: str, chain: Chain) -> set[Definition]:
        """Where the changed object is defined, through imports; also the local name, which is how it may be used."""
        if name.endswith(":"):
            return {(name[:-1], chain[0])}
        found: set[Definition] = {(facts.source.name, name)} if name in facts.binders else set()
        seen: set[tuple[str, str]] = set()
        pending = [(facts, name, chain)]
        while pending:
            current, local, rest = pending.pop()
            if (current.source.name, local) in seen:
                continue
            seen.add((current.source.name, local))
            for ref in current.imports_of.get(local, ()):
                resolved = self._resolve(ref, rest)
                if resolved is not None and resolved[1]:
                    module, (first, *others) = resolved
                    found.add((module, first))
                    following = self.facts_of(module)
                    if following is not None:
                        pending.append((following, first, tuple(others)))
        return found


def _keeps_book(statement: Statement, owner: ModuleFacts) -> bool:
    """The class has `__init_subclass__`, a metaclass of the project that does work, or is asked for its subclasses."""
    names = {getattr(member, "name", "") for member in getattr(statement.node, "body", ())}
    if "__init_subclass__" in names or "__subclasses__" in owner.source.text:
        return True
    for keyword in getattr(statement.node, "keywords", ()):
        if keyword.arg == "metaclass":
            metaclass = owner.binders.get(getattr(keyword.value, "id", ""), ())
            return any(binder.is_definition for binder in metaclass)
    return False
