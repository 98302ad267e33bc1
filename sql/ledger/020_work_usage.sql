-- What work that has ended used, for sums by key, model and day: its requests are in no ticket.

ALTER TABLE work ADD COLUMN key INTEGER NOT NULL DEFAULT 0;

CREATE TABLE work_usage (
	id INTEGER PRIMARY KEY REFERENCES work (id),
	account INTEGER NOT NULL,
	key INTEGER NOT NULL,
	started_us INTEGER NOT NULL,
	cost_nano INTEGER NOT NULL CHECK (cost_nano >= 0), -- what was charged of its hold
	end_reason INTEGER NOT NULL DEFAULT 1, -- COMPLETED; and as which the requests of it count
	status INTEGER NOT NULL DEFAULT 200,
	model INTEGER NOT NULL,
	provider INTEGER NOT NULL,
	endpoint INTEGER NOT NULL,
	tier INTEGER NOT NULL,
	lane INTEGER NOT NULL,
	requests INTEGER NOT NULL,
	tokens_input INTEGER NOT NULL,
	tokens_cached INTEGER NOT NULL,
	tokens_cache_write INTEGER NOT NULL,
	tokens_cache_write_1h INTEGER NOT NULL,
	tokens_audio_in INTEGER NOT NULL,
	tokens_image_in INTEGER NOT NULL,
	tokens_video_in INTEGER NOT NULL,
	tokens_cached_audio INTEGER NOT NULL,
	tokens_cached_image INTEGER NOT NULL,
	tokens_output INTEGER NOT NULL,
	tokens_reasoning INTEGER NOT NULL,
	tokens_audio_out INTEGER NOT NULL,
	tokens_image_out INTEGER NOT NULL,
	tool_calls INTEGER NOT NULL
) STRICT;
CREATE INDEX work_usage_key ON work_usage (key);
CREATE INDEX work_usage_account ON work_usage (account);
CREATE TRIGGER work_usage_is_final BEFORE UPDATE ON work_usage BEGIN SELECT raise(ABORT, 'INV-11: what work used is never changed'); END;
CREATE TRIGGER work_usage_stays BEFORE DELETE ON work_usage BEGIN SELECT raise(ABORT, 'INV-11: what work used is never deleted'); END;
