-- The generation that an upload folder's mark (.sync/tree) had last. It is raised now and then, in the mark first, so a mark
-- that is behind is that of an older copy of the folder.
CREATE TABLE IF NOT EXISTS sync_tree_life (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  generation BIGINT UNSIGNED NOT NULL,
  raised_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
