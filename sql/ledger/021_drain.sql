-- Servers that are told to empty themselves are of stores with several: postgres/021_drain.sql.

SELECT 1;
