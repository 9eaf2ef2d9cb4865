-- What lies in .sync/trash and .sync/conflict of the upload folders, by content, so that it need not come again. name: the
-- path below the folder.
CREATE TABLE IF NOT EXISTS sync_trash (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL,
  content VARBINARY(33) NOT NULL,
  name VARBINARY(4500) NOT NULL,
  moved_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  KEY content (tree, content)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
