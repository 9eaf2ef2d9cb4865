-- The files of one upload folder, as all nodes have it: the one table of the agent that is replicated, so it stands in
-- the application's database, one for each [tree], made by --install under the name sync_file_NAME. content as in
-- sync_file_local; nothing: deleted. node: who wrote this version. base, previous: the contents that it knew: what the node
-- had agreed on when it began to change the path, and what the list said last.
CREATE TABLE IF NOT EXISTS sync_file (
  path_id BINARY(16) NOT NULL PRIMARY KEY,
  path VARBINARY(4096) NOT NULL,
  content VARBINARY(33) NOT NULL,
  size BIGINT UNSIGNED NOT NULL,
  mtime_ns BIGINT NOT NULL,
  mode SMALLINT UNSIGNED NOT NULL,
  link VARBINARY(4096) NULL,
  node VARCHAR(32) CHARACTER SET ascii NOT NULL,
  base VARBINARY(33) NOT NULL DEFAULT '',
  previous VARBINARY(33) NOT NULL DEFAULT '',
  KEY content (content)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
