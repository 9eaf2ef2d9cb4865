-- How the command of [tree] after ended last. tries: so often in a row that it failed; error: how, "" = it did not.
CREATE TABLE IF NOT EXISTS sync_after_run (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  ended_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  tries INT UNSIGNED NOT NULL DEFAULT 0,
  error VARCHAR(512) NOT NULL DEFAULT ''
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
