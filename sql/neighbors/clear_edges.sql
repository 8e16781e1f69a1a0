-- Before a graph is stored whole.
delete from edges
