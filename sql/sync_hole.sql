-- Ranges of queue ids found empty by a probe that would have met an open transaction's row. Found
-- so twice, QUEUE_PROBE_AGE_MS apart by a clock that only goes forward, they are dead: no later mark lists
-- them. boot and server_start: the clock's and the server's life in which the first probe was made.
CREATE TABLE IF NOT EXISTS sync_hole (
  low BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  high BIGINT UNSIGNED NOT NULL,
  probed_ms BIGINT NOT NULL,
  server_start BIGINT NOT NULL,
  dead TINYINT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
