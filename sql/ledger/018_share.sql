-- Shares of balances are of stores with several servers: postgres/018_share.sql.

SELECT 1;
