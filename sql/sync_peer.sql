-- What we know of sending to a peer. acked: the last epoch of ours that it has applied. sent_seen:
-- while a group of ours is on its way, the epoch of the peer that it states as seen. floor_epoch:
-- the lowest epoch of ours that a group of the peer may still state as seen (kept until then).
-- start_epoch: the newest epoch when the peer was registered, what it has seen before it received
-- anything. quiet_epoch: nothing in the marks between acked_epoch and this one is for the peer (all of
-- it came from there), so that nobody has to wait for an acknowledgement that will not come.
CREATE TABLE IF NOT EXISTS sync_peer (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  incarnation CHAR(32) CHARACTER SET ascii NULL,
  acked_epoch BIGINT UNSIGNED NOT NULL,
  acked_stamp CHAR(16) CHARACTER SET ascii NOT NULL,
  sent_seen BIGINT UNSIGNED NULL,
  floor_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  start_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  quiet_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  records_sent BIGINT UNSIGNED NOT NULL DEFAULT 0,
  last_success TIMESTAMP(6) NULL DEFAULT NULL,
  last_error VARCHAR(512) NULL,
  last_error_at TIMESTAMP(6) NULL DEFAULT NULL,
  failures INT UNSIGNED NOT NULL DEFAULT 0,
  held VARCHAR(512) NULL,
  clock_skew_ms BIGINT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
