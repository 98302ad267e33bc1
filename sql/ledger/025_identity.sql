-- Which store it is, and whose a node's number is, are of stores with several servers: postgres/025_identity.sql.

SELECT 1;
