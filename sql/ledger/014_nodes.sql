-- Several servers on one store are PostgreSQL's affair (postgres/014_nodes.sql): a file has one.

SELECT 1;
