"""What the rest of the site may hear from this room. All are sent after commit, so that a listener sees what happened.

`session_ended` — kwargs `user_id`, `session_ids` (list of UUID), `reason` (EndReason): these login sessions ended.
`person_changed` — kwargs `user_id`, `change` (str): something about a person changed that open connections must notice.
`pruning` — kwargs `now`, `batch_size`: the `prune` command runs. Delete what has expired, in batches and transactions
of your own, and return `(name, count)`; the command prints it.
"""

from django.dispatch import Signal

session_ended = Signal()
person_changed = Signal()
pruning = Signal()
