"""`make mutants`: faults put into the code on purpose, and the tests that must see them."""
