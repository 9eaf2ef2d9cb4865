-- What needs a person, and whether the command of [sync] notify has said so: a row for each cause and peer, as long as
-- the cause lasts; peer '': of the whole node. It is said once: told_at. tries, tried_at, last_error: a command that
-- fails is run again, some times. Kept here so that neither a restart nor a drain beside the daemon says it again.
CREATE TABLE IF NOT EXISTS sync_notice (
  cause VARCHAR(16) CHARACTER SET ascii NOT NULL,
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  tries INT UNSIGNED NOT NULL DEFAULT 0,
  tried_at TIMESTAMP(6) NULL DEFAULT NULL,
  told_at TIMESTAMP(6) NULL DEFAULT NULL,
  last_error VARCHAR(512) NULL,
  PRIMARY KEY (cause, peer)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
