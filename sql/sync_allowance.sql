-- A person's yes to deletions above max_delete. allowed_at: the last yes, counting begins anew there.
-- allowed_id: the yes covers changes of this node up to that id. granted_at: the peer's next group may delete
-- here whatever it wants. waiting: what this node holds back of the peer, in words (NULL: nothing).
CREATE TABLE IF NOT EXISTS sync_allowance (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  allowed_at TIMESTAMP(6) NOT NULL DEFAULT '2000-01-01 00:00:00',
  allowed_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  granted_at TIMESTAMP(6) NULL DEFAULT NULL,
  waiting VARCHAR(512) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
