-- What work that has ended used: sql/ledger/020_work_usage.sql.

ALTER TABLE work ADD COLUMN key bigint NOT NULL DEFAULT 0;

CREATE TABLE work_usage (
	id bigint PRIMARY KEY REFERENCES work (id),
	account bigint NOT NULL,
	key bigint NOT NULL,
	started_us bigint NOT NULL,
	cost_nano bigint NOT NULL CHECK (cost_nano >= 0), -- what was charged of its hold
	end_reason bigint NOT NULL DEFAULT 1, -- COMPLETED; and as which the requests of it count
	status bigint NOT NULL DEFAULT 200,
	model bigint NOT NULL,
	provider bigint NOT NULL,
	endpoint bigint NOT NULL,
	tier bigint NOT NULL,
	lane bigint NOT NULL,
	requests bigint NOT NULL,
	tokens_input bigint NOT NULL,
	tokens_cached bigint NOT NULL,
	tokens_cache_write bigint NOT NULL,
	tokens_cache_write_1h bigint NOT NULL,
	tokens_audio_in bigint NOT NULL,
	tokens_image_in bigint NOT NULL,
	tokens_video_in bigint NOT NULL,
	tokens_cached_audio bigint NOT NULL,
	tokens_cached_image bigint NOT NULL,
	tokens_output bigint NOT NULL,
	tokens_reasoning bigint NOT NULL,
	tokens_audio_out bigint NOT NULL,
	tokens_image_out bigint NOT NULL,
	tool_calls bigint NOT NULL
);
CREATE INDEX work_usage_key ON work_usage (key);
CREATE INDEX work_usage_account ON work_usage (account);
CREATE TRIGGER work_usage_is_final BEFORE UPDATE ON work_usage FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-11: what work used is never changed');
CREATE TRIGGER work_usage_stays BEFORE DELETE ON work_usage FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-11: what work used is never deleted');
