-- Whether several ledgers may be open at once: postgres/016_many.sql.

SELECT 1;
