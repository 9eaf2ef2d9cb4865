-- The links of all nodes, as far as this one was told of them: at each hello both sides name theirs and those that
-- others have told them. told_by: '' = this node's own. since: when the claimant met the other, milliseconds since
-- 1970 by its server. Links form a tree; the newest one of a ring waits.
CREATE TABLE IF NOT EXISTS sync_link (
  told_by VARCHAR(32) CHARACTER SET ascii NOT NULL,
  claimant VARCHAR(32) CHARACTER SET ascii NOT NULL,
  other VARCHAR(32) CHARACTER SET ascii NOT NULL,
  since BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (told_by, claimant, other)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
