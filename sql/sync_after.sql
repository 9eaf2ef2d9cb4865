-- Paths of upload folders that were put in place or taken away here, and that the command of [tree] after was not told of
-- yet.
CREATE TABLE IF NOT EXISTS sync_after (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL,
  path VARBINARY(4096) NOT NULL,
  at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  KEY tree (tree, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
