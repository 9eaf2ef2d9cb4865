-- What the page's graphs show: for each peer and bucket of time the most that was pending and how old the oldest
-- was, and the records that went out and came in. at: the bucket's begin, seconds since 1970; step_s: its
-- length (agent/app/history). A bucket that is missing between two others: nothing happened, nothing waited.
-- Old rows are removed by agent --serve, which alone writes here.
CREATE TABLE IF NOT EXISTS sync_history (
  step_s INT UNSIGNED NOT NULL,
  at BIGINT UNSIGNED NOT NULL,
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  pending BIGINT UNSIGNED NOT NULL,
  sent BIGINT UNSIGNED NOT NULL,
  applied BIGINT UNSIGNED NOT NULL,
  lag_ms BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (step_s, at, peer)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
