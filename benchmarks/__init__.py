"""How much it costs, beside the plain way. See README.md in this folder."""
