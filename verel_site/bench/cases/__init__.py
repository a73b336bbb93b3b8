"""One module per kind of work; `CASES` of each is found by name, and needs no other entry."""
