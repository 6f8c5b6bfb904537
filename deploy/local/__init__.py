"""`make run-scaled`: the whole site on this machine as it is run in earnest, for as long as nobody ends it."""
