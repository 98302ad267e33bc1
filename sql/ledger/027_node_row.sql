-- What is read of a node's row is what is changed of it, and a move is whole: postgres/027_node_row.sql.

SELECT 1;
