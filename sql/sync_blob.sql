-- The blocks of contents above 1 MiB, as SHA-256 one after the other, by the content's own hash.
CREATE TABLE IF NOT EXISTS sync_blob (
  hash BINARY(32) NOT NULL PRIMARY KEY,
  size BIGINT UNSIGNED NOT NULL,
  blocks LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
