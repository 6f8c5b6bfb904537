"""What the rest of the site may hear from this room. All are sent after commit, so that a listener sees what happened.

`session_ended` — kwargs `user_id`, `session_ids` (list of UUID), `reason` (EndReason): these login sessions ended.
`person_changed` — kwargs `user_id`, `change`: something about a person changed that open connections must notice.
"password": the session that changed it stands, but what was granted on older credentials must be proven anew.
"deleted": there is no such person any more.
`pruning` — kwargs `now`, `batch_size`: the `prune` command runs. Delete what has expired, in batches and transactions
of your own, and return `(name, count)`; the command prints it.
"""

from django.dispatch import Signal

session_ended = Signal()
person_changed = Signal()
pruning = Signal()
