"""A definition as a graph: for people to look at, in a terminal (`text`) or as SVG (`svg`)."""
