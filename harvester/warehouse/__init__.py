"""The files as tables: which of them are whose, how SQL reads them, and how they become fewer and larger ones."""
