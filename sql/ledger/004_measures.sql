-- Prices by the second of audio and by the image.

ALTER TABLE price ADD COLUMN tool_audio_second_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE price ADD COLUMN tool_image_nano INTEGER NOT NULL DEFAULT 0;
