-- TRUNCATE, which a file has not: postgres/028_truncate.sql.

SELECT 1;
