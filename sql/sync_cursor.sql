-- What has been applied from a peer: written in the transaction that applies, so it is exact. The
-- answer that was given for the last position is kept and given again. A table of its own, so that
-- applying and sending never wait for each other.
CREATE TABLE IF NOT EXISTS sync_cursor (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  incarnation CHAR(32) CHARACTER SET ascii NULL,
  epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  stamp CHAR(16) CHARACTER SET ascii NULL,
  seen_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  answer LONGTEXT NULL,
  records_applied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  applied_at TIMESTAMP(6) NULL DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
