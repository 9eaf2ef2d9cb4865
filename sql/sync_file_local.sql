-- What stands in the upload folders here, as last seen or written, so that only changed files are read again. Never
-- replicated; what is, is sync_file_NAME in the application's database. content: 'f' and a file's hash, 'l' and the
-- hash of a link's target, 'd', or nothing (nothing stands there). base: the content that folder and list last agreed on.
-- own: 1: this node has put base into the list, nobody else; 2: the permissions were changed here since; 3: both. state: failed: the path waits, error says why; again: it may be tried
-- once more.
CREATE TABLE IF NOT EXISTS sync_file_local (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL,
  path_id BINARY(16) NOT NULL,
  path VARBINARY(4096) NOT NULL,
  content VARBINARY(33) NOT NULL,
  base VARBINARY(33) NOT NULL DEFAULT '',
  size BIGINT UNSIGNED NOT NULL DEFAULT 0,
  mtime_ns BIGINT NOT NULL DEFAULT 0,
  ctime_ns BIGINT NOT NULL DEFAULT 0,
  ino BIGINT UNSIGNED NOT NULL DEFAULT 0,
  mode SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  uid INT UNSIGNED NOT NULL DEFAULT 0,
  gid INT UNSIGNED NOT NULL DEFAULT 0,
  own TINYINT UNSIGNED NOT NULL DEFAULT 0,
  racy TINYINT UNSIGNED NOT NULL DEFAULT 0,
  link VARBINARY(4096) NULL,
  state ENUM('ok','failed','again') CHARACTER SET ascii NOT NULL DEFAULT 'ok',
  error VARCHAR(512) NOT NULL DEFAULT '',
  PRIMARY KEY (tree, path_id),
  KEY content (tree, content)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
