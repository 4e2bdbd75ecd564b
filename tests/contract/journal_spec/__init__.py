"""What every journal promises, as functions of a world. `test_journal.py` runs all of them on
every journal there is; `test_broken_journals.py` shows that each kind of fault is found."""

from tests.contract.journal_spec import attempts, checkpoints, events, notes
from tests.contract.journal_spec.promises import Promise

SPEC: list[Promise] = [*checkpoints.SPEC, *notes.SPEC, *events.SPEC, *attempts.SPEC]
