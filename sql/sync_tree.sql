-- The upload folders of this node as they were met: the mark in the folder, its file system, the last complete look.
-- held: why nothing is told of it, "" = it is not. allowed: a person has said yes to what is held, once.
CREATE TABLE IF NOT EXISTS sync_tree (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  marker BINARY(16) NOT NULL,
  fsid BIGINT UNSIGNED NOT NULL DEFAULT 0,
  looked_at TIMESTAMP(6) NULL DEFAULT NULL,
  held VARCHAR(512) NOT NULL DEFAULT '',
  allowed TINYINT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
