-- 1: this server is to take no new requests, and to end in order when those that it has are over. Until it begins with a new board.
ALTER TABLE node ADD COLUMN drain bigint NOT NULL DEFAULT 0 CHECK (drain IN (0, 1));
