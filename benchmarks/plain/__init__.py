"""The plain way, as the documentation of Channels has it: a JSON consumer, one group a person, `group_send`."""
