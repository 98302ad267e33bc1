-- A node that will not come back: postgres/015_forget.sql.

SELECT 1;
