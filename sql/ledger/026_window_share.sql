-- Shares of windows of limits of money are of stores with several servers: postgres/026_window_share.sql.

SELECT 1;
